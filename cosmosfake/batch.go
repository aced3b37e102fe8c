package cosmosfake

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/cosmos-almanac/almanac/schemas"
)

// maxOperations is the service's limit of a transactional batch.
const maxOperations = 100

// serveBatch does a transactional batch: all operations under one LSN, or none. The wire format is azcosmos' and the
// JavaScript SDK's: a JSON array of {operationType, id, resourceBody, ifMatch, …}. Bodies are kept as they were sent.
func (s *Server) serveBatch(a *answer, r *http.Request, c *container, fault Fault) *Error {
	if !isTrue(r, "x-ms-cosmos-batch-atomic") {
		return s.serveBulk(a, r, c, fault)
	}
	pk, epk, e := readKey(r, c)
	if e != nil {
		return e
	}
	raw, e := readBody(r)
	if e != nil {
		return e
	}
	ops, e := s.parseBatch(c, pk, raw)
	if e != nil {
		return e
	}
	t, e := s.begin(c, epk, priorityOf(r))
	if e != nil {
		return e
	}
	results := make([]result, len(ops))
	var charge float64
	for i := range ops {
		res, e := t.do(&ops[i])
		if e != nil {
			charge = max(charge, refused)
			t.spend(charge)
			a.position(t.p.position())
			t.abort()
			a.charge(charge)
			a.send(http.StatusMultiStatus, failedBatch(len(ops), i, e))
			return nil
		}
		results[i] = res
		charge += res.charge
	}
	t.spend(charge)
	at, e := t.commit()
	if e != nil {
		return e
	}
	a.position(at)
	a.charge(charge)
	a.send(200, doneBatch(c, ops, results, r))
	return nil
}

func failedBatch(n, failed int, e *Error) []byte {
	body := []byte{'['}
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		why := &Error{Status: http.StatusFailedDependency}
		if i == failed {
			why = e
		}
		body = appendFailure(body, why)
	}
	return append(body, ']')
}

func appendFailure(body []byte, e *Error) []byte {
	body = append(body, `{"statusCode":`...)
	body = strconv.AppendInt(body, int64(e.Status), 10)
	if e.Substatus != 0 {
		body = append(body, `,"subStatusCode":`...)
		body = strconv.AppendInt(body, int64(e.Substatus), 10)
	}
	if e.Status == http.StatusTooManyRequests {
		body = append(body, `,"retryAfterMilliseconds":`...)
		body = strconv.AppendInt(body, max(1, e.RetryAfter.Milliseconds()), 10)
	}
	return append(body, `,"requestCharge":0}`...)
}

func appendResult(body []byte, c *container, v verb, res result, minimal bool) []byte {
	body = append(body, `{"statusCode":`...)
	body = strconv.AppendInt(body, int64(res.status), 10)
	body = append(body, `,"requestCharge":`...)
	body = strconv.AppendFloat(body, res.charge, 'f', 2, 64)
	if res.v != nil {
		body = append(body, `,"eTag":"\"`...)
		etag := res.v.etagText()
		body = append(body, etag[1:len(etag)-1]...)
		body = append(body, `\""`...)
		if res.status != http.StatusNotModified && (!minimal || v == verbRead) {
			body = append(body, `,"resourceBody":`...)
			body = res.v.appendSpliced(body, c, 0)
		}
	}
	return append(body, '}')
}

func doneBatch(c *container, ops []operation, results []result, r *http.Request) []byte {
	minimal := wantsMinimal(r)
	body := []byte{'['}
	for i, res := range results {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendResult(body, c, ops[i].verb, res, minimal)
	}
	return append(body, ']')
}

// parseBatch checks everything that can be checked without the range's lock.
func (s *Server) parseBatch(c *container, pk string, raw []byte) ([]operation, *Error) {
	ops := make([]operation, 0, maxOperations)
	var (
		scan    schemas.Document
		refusal *Error
	)
	err := scanArray(raw, func(start, end int) error {
		if len(ops) == maxOperations {
			refusal = badRequest("Batch request has more operations than what is supported: at most %d.", maxOperations)
			return refusal
		}
		op, e := s.parseOperation(c, &scan, pk, raw[start:end])
		if e != nil {
			refusal = e
			return e
		}
		ops = append(ops, op)
		return nil
	})
	switch {
	case refusal != nil:
		return nil, refusal
	case err != nil:
		return nil, badRequest("The batch is invalid: %v.", err)
	case len(ops) == 0:
		return nil, badRequest("The batch has no operations.")
	}
	return ops, nil
}

func (s *Server) parseOperation(c *container, scan *schemas.Document, pk string, raw []byte) (operation, *Error) {
	var (
		op   operation
		body []byte
		id   *string
	)
	err := scanObject(raw, func(m member) error {
		value := raw[m.start:m.end]
		var field *string
		switch memberName(raw, m) {
		case "operationType":
			field = (*string)(&op.verb)
		case "id":
			id = new(string)
			field = id
		case "ifMatch":
			field = &op.ifMatch
		case "ifNoneMatch":
			field = &op.ifNoneMatch
		case "resourceBody":
			body = value
			return nil
		default: // partitionKey repeats the header's
			return nil
		}
		return json.Unmarshal(value, field)
	})
	if err != nil {
		return op, badRequest("An operation of the batch is invalid: %v.", err)
	}
	switch op.verb {
	case verbRead, verbDelete:
		if id == nil {
			return op, badRequest("The %s of the batch has no id.", op.verb)
		}
		op.key = append([]byte(pk), *id...)
		return op, nil
	case verbPatch:
		if id == nil || body == nil {
			return op, badRequest("The Patch of the batch has no id or no resourceBody.")
		}
		p, e := parsePatch(body, c)
		op.key, op.patch = append([]byte(pk), *id...), p
		return op, e
	case verbCreate, verbUpsert, verbReplace:
	default:
		return op, notHere("the batch operation " + strconv.Quote(string(op.verb)))
	}
	if body == nil {
		return op, badRequest("The %s of the batch has no resourceBody.", op.verb)
	}
	// A copy, so that one living document does not keep the whole request in memory.
	doc, e := s.parseDocument(c, scan, bytes.Clone(body))
	if e != nil {
		return op, e
	}
	if string(doc.pk) != pk {
		return op, keyMismatch(pk, string(doc.pk))
	}
	if op.verb == verbReplace && id != nil && *id != string(doc.id) {
		return op, badRequest("The id %q in the body is not the item's, %q.", doc.id, *id)
	}
	op.doc, op.key = doc, doc.key
	return op, nil
}
