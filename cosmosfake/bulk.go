package cosmosfake

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/cosmos-almanac/almanac/schemas"
)

// outcome is what became of one operation of a bulk request.
type outcome struct {
	op operation
	result
	e *Error
}

// serveBulk does operations on one physical range, each for itself; those that succeed share an LSN. The wire format is
// that of the .NET and JavaScript SDKs: a batch with x-ms-cosmos-batch-atomic: False, a range, and a partitionKey in
// each operation. Without x-ms-cosmos-batch-continue-on-error nothing is done after the first failure.
func (s *Server) serveBulk(a *answer, r *http.Request, c *container, fault Fault) *Error {
	id := r.Header.Get("x-ms-documentdb-partitionkeyrangeid")
	p := c.rangeByID(id)
	switch {
	case id == "":
		return badRequest("A batch with x-ms-cosmos-batch-atomic: %q needs the header x-ms-documentdb-partitionkeyrangeid.", r.Header.Get("x-ms-cosmos-batch-atomic"))
	case p == nil:
		return c.gone(id)
	}
	raw, e := readBody(r)
	if e != nil {
		return e
	}
	list, e := s.parseBulk(c, p, raw)
	if e != nil {
		return e
	}
	level := priorityOf(r)
	t, e := s.beginRange(c, id, level)
	if e != nil {
		return e
	}
	status, failed, charge := http.StatusOK, false, 0.0
	for i := range list {
		one := &list[i]
		switch {
		case failed && !isTrue(r, "x-ms-cosmos-batch-continue-on-error"):
			one.e = &Error{Status: http.StatusFailedDependency}
		case fault.Operations[i] != 0:
			one.e = refusedOperation(fault.Operations[i])
		case one.e == nil:
			t.try(one, level)
		}
		if one.e != nil {
			status, failed = http.StatusMultiStatus, true
		}
		charge += one.charge
	}
	at, e := t.commit()
	if e != nil {
		return e
	}
	a.position(at)
	a.charge(max(charge, refused))
	a.send(status, appendOutcomes(c, list, r))
	return nil
}

// try does an operation, unless those before it used up what the range has (the .NET SDK counts the operations of a
// bulk request that are refused with 429, BatchAsyncBatcher).
func (t *transaction) try(one *outcome, level priority) {
	if one.e = t.p.meter.allows(t.c.rate(), level); one.e != nil {
		return
	}
	if one.result, one.e = t.do(&one.op); one.e != nil {
		one.charge = refused
	}
	t.spend(one.charge)
}

// refusedOperation is what a fault makes of one.
func refusedOperation(status int) *Error {
	if status == http.StatusTooManyRequests {
		return &Error{Status: status, Substatus: 3200}
	}
	return &Error{Status: status}
}

func appendOutcomes(c *container, list []outcome, r *http.Request) []byte {
	minimal := wantsMinimal(r)
	body := []byte{'['}
	for i, one := range list {
		if i > 0 {
			body = append(body, ',')
		}
		if one.e != nil {
			body = appendFailure(body, one.e)
		} else {
			body = appendResult(body, c, one.op.verb, one.result, minimal)
		}
	}
	return append(body, ']')
}

// parseBulk reads the operations. One that is invalid fails alone.
func (s *Server) parseBulk(c *container, p *partition, raw []byte) ([]outcome, *Error) {
	var (
		list    []outcome
		scan    schemas.Document
		refusal *Error
	)
	err := scanArray(raw, func(start, end int) error {
		if len(list) == maxOperations {
			refusal = badRequest("Batch request has more operations than what is supported: at most %d.", maxOperations)
			return refusal
		}
		var one outcome
		pk, e := bulkKey(c, p, raw[start:end])
		if e == nil {
			one.op, e = s.parseOperation(c, &scan, pk, raw[start:end])
		}
		one.e = e
		list = append(list, one)
		return nil
	})
	switch {
	case refusal != nil:
		return nil, refusal
	case err != nil:
		return nil, badRequest("The batch is invalid: %v.", err)
	case len(list) == 0:
		return nil, badRequest("The batch has no operations.")
	}
	return list, nil
}

// bulkKey reads an operation's partition key, an array or its text, which must belong to the range.
func bulkKey(c *container, p *partition, raw []byte) (string, *Error) {
	var sent struct {
		Key json.RawMessage `json:"partitionKey"`
	}
	if err := json.Unmarshal(raw, &sent); err != nil {
		return "", badRequest("An operation of the batch is invalid: %v.", err)
	}
	text := []byte(sent.Key)
	if plain := ""; len(text) > 0 && text[0] == '"' && json.Unmarshal(text, &plain) == nil {
		text = []byte(plain)
	}
	pk, epk, err := c.hashing.parse(c.key, text)
	switch {
	case err != nil:
		return "", badRequest("The partitionKey %s of an operation is invalid: %v.", strconv.Quote(string(text)), err)
	case !p.span.Contains(schemas.HexEPK(epk)):
		return "", rangeGone(p.id)
	}
	return pk, checkKeySize(pk)
}
