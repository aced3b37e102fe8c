package cosmosfake

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/cosmos-almanac/almanac/schemas"
)

// operation is one thing to do with one document, alone or in a batch.
type operation struct {
	verb        verb
	doc         document // of create, upsert and replace
	key         []byte   // canonical partition key, then the id
	ifMatch     string
	ifNoneMatch string
	patch       *patch // of patch
}

type verb string

const (
	verbCreate  verb = "Create"
	verbUpsert  verb = "Upsert"
	verbReplace verb = "Replace"
	verbDelete  verb = "Delete"
	verbRead    verb = "Read"
	verbPatch   verb = "Patch"
)

// result is what an operation did.
type result struct {
	status int
	v      *version // nil after a deletion
	charge float64
}

// do applies an operation to the transaction, or returns why not.
func (t *transaction) do(op *operation) (result, *Error) {
	before := t.current(op.key)
	if before == nil && op.verb != verbCreate && op.verb != verbUpsert {
		return result{}, notFound()
	}
	if before != nil {
		if op.verb == verbCreate {
			return result{}, conflict()
		}
		if e := checkMatch(op.ifMatch, before.etagText()); e != nil {
			return result{}, e
		}
	}
	switch op.verb {
	case verbRead:
		if op.ifNoneMatch != "" && op.ifNoneMatch == before.etagText() {
			return result{status: http.StatusNotModified, v: before, charge: 1}, nil
		}
		return result{status: 200, v: before, charge: readCharge(len(before.body))}, nil
	case verbDelete:
		t.delete(before)
		return result{status: http.StatusNoContent, charge: writeCharge(len(before.body))}, nil
	case verbPatch:
		doc, e := t.patched(op.patch, before)
		if e != nil {
			return result{}, e
		}
		op.doc = doc
	}
	name, status := OpReplace, 200
	switch {
	case op.verb == verbCreate:
		name, status = OpCreate, 201
	case op.verb == verbUpsert && before == nil:
		name, status = OpUpsert, 201
	case op.verb == verbUpsert:
		name = OpUpsert
	}
	unique, e := t.checkUnique(op.doc, before)
	if e != nil {
		return result{}, e
	}
	v := t.put(name, op.doc, before)
	v.unique = unique
	return result{status: status, v: v, charge: writeCharge(len(v.body))}, nil
}

// checkMatch compares an If-Match header; absent and * match everything that exists.
func checkMatch(want, etag string) *Error {
	if want == "" || want == "*" || want == etag {
		return nil
	}
	return preconditionFailed()
}

// readKey reads the partition key that every request on items carries.
func readKey(r *http.Request, c *container) (canonical string, epk []byte, _ *Error) {
	text := r.Header.Get("x-ms-documentdb-partitionkey")
	if text == "" {
		return "", nil, &Error{Status: 400, Substatus: 1001, Code: "BadRequest", Message: "PartitionKey extracted from document doesn't match the one specified in the header: the header x-ms-documentdb-partitionkey is missing. A missing key property is [{}]."}
	}
	canonical, epk, err := c.hashing.parse(c.key, []byte(text))
	if err != nil {
		return "", nil, badRequest("Partition key %s is invalid: %v.", text, err)
	}
	return canonical, epk, checkKeySize(canonical)
}

// maxKey is the service's limit of a partition key's value (service limits).
const maxKey = 2048

func checkKeySize(canonical string) *Error {
	if len(canonical) <= maxKey {
		return nil
	}
	var parts []any
	if err := json.Unmarshal([]byte(canonical), &parts); err != nil { // it is canonical
		panic(err)
	}
	for _, part := range parts {
		if text, ok := part.(string); ok && len(text) > maxKey {
			return badRequest("The partition key has %d bytes, at most %d are allowed.", len(text), maxKey)
		}
	}
	return nil
}

func keyMismatch(header, extracted string) *Error {
	return &Error{
		Status: 400, Substatus: 1001, Code: "BadRequest",
		Message: "PartitionKey extracted from document doesn't match the one specified in the header: the document has " + extracted + ", the header " + header + ".",
	}
}

// serveItems answers requests to /docs: a creation, a batch, or a feed.
func (s *Server) serveItems(a *answer, r *http.Request, c *container, fault Fault) *Error {
	switch {
	case r.Method == http.MethodGet:
		return s.serveFeed(a, r, c, fault)
	case r.Method != http.MethodPost:
		return methodNotAllowed(r)
	case isTrue(r, "x-ms-cosmos-is-batch-request"):
		return s.serveBatch(a, r, c, fault)
	case isQuery(r):
		return s.serveQuery(a, r, c, fault)
	case isTrue(r, "x-ms-documentdb-is-upsert"):
		return s.writeItem(a, r, c, verbUpsert, "")
	default:
		return s.writeItem(a, r, c, verbCreate, "")
	}
}

// serveItem answers requests to /docs/{id}.
func (s *Server) serveItem(a *answer, r *http.Request, c *container, id string, fault Fault) *Error {
	switch r.Method {
	case http.MethodGet:
		return s.readItem(a, r, c, id, fault)
	case http.MethodDelete:
		pk, epk, e := readKey(r, c)
		if e != nil {
			return e
		}
		return s.runOne(a, r, c, epk, &operation{verb: verbDelete, key: append([]byte(pk), id...), ifMatch: r.Header.Get("If-Match")})
	case http.MethodPut:
		return s.writeItem(a, r, c, verbReplace, id)
	case http.MethodPatch:
		return s.patchItem(a, r, c, id)
	}
	return methodNotAllowed(r)
}

// readItem answers a point read, as a replica shows the item.
func (s *Server) readItem(a *answer, r *http.Request, c *container, id string, fault Fault) *Error {
	pk, epk, e := readKey(r, c)
	if e != nil {
		return e
	}
	p := c.lock(epk)
	if p == nil {
		return ownerNotFound()
	}
	now := s.clock.now()
	q := scan{lives: c.lives(now), fault: fault}
	if q.session, e = sessionOf(r, p); e == nil {
		e = c.admit(p, now, priorityOf(r))
	}
	if e != nil {
		p.mu.Unlock()
		return e
	}
	v, at := p.get(&q, append([]byte(pk), id...))
	charge := 1.0
	if v != nil {
		charge = readCharge(len(v.body))
	}
	p.meter.spend(charge)
	p.mu.Unlock()
	a.position(at)
	switch {
	case !q.session.in(at):
		return sessionNotAvailable(r, at)
	case v == nil:
		return notFound()
	}
	a.charge(charge)
	a.set("etag", v.etagText())
	if r.Header.Get("If-None-Match") == v.etagText() {
		a.send(http.StatusNotModified, nil)
		return nil
	}
	a.send(http.StatusOK, v.appendSpliced(make([]byte, 0, len(v.body)+spliceSize), c, 0))
	return nil
}

// writeItem reads the document of a create, upsert or replace and does it. id is the path's, of a replace.
func (s *Server) writeItem(a *answer, r *http.Request, c *container, v verb, id string) *Error {
	raw, e := readBody(r)
	if e != nil {
		return e
	}
	pk, epk, e := readKey(r, c)
	if e != nil {
		return mayBeQuery(e, raw)
	}
	var scan schemas.Document
	doc, e := s.parseDocument(c, &scan, raw)
	if e != nil {
		return mayBeQuery(e, raw)
	}
	if string(doc.pk) != pk {
		return keyMismatch(pk, string(doc.pk))
	}
	if v == verbReplace && string(doc.id) != id {
		return badRequest("The id %q in the body is not the item's, %q.", doc.id, id)
	}
	op := operation{verb: v, doc: doc, key: doc.key, ifMatch: r.Header.Get("If-Match")}
	return s.runOne(a, r, c, epk, &op)
}

// mayBeQuery says what is missing when the body of a creation that is refused looks like a query.
func mayBeQuery(e *Error, body []byte) *Error {
	var sent struct {
		ID    any    `json:"id"`
		Query string `json:"query"`
	}
	if json.Unmarshal(body, &sent) == nil && sent.ID == nil && sent.Query != "" {
		e.Message += " (A query needs the headers x-ms-documentdb-isquery: True and Content-Type: application/query+json; without them its body is taken for an item.)"
	}
	return e
}

// runOne does one operation in a transaction of its own and answers.
func (s *Server) runOne(a *answer, r *http.Request, c *container, epk []byte, op *operation) *Error {
	t, e := s.begin(c, epk, priorityOf(r))
	if e != nil {
		return e
	}
	res, e := t.do(op)
	if e != nil {
		t.spend(refused)
		a.position(t.p.position())
		t.abort()
		return e
	}
	t.spend(res.charge)
	at, e := t.commit()
	if e != nil {
		return e
	}
	a.position(at)
	a.charge(res.charge)
	if res.v == nil {
		a.send(res.status, nil)
		return nil
	}
	a.set("etag", res.v.etagText())
	if wantsMinimal(r) {
		a.send(res.status, nil)
		return nil
	}
	a.send(res.status, res.v.appendSpliced(make([]byte, 0, len(res.v.body)+spliceSize), c, 0))
	return nil
}

// wantsMinimal tells that the client does not want written documents back.
func wantsMinimal(r *http.Request) bool { return r.Header.Get("Prefer") == "return=minimal" }

// readBody reads a request's body up to the service's limit.
func readBody(r *http.Request) ([]byte, *Error) {
	if r.ContentLength > maxItem {
		return nil, tooLarge()
	}
	var (
		body []byte
		err  error
	)
	if r.ContentLength >= 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, maxItem+1))
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, badRequest("The request has no body.")
	case err != nil:
		return nil, badRequest("The body cannot be read: %v.", err)
	case len(body) > maxItem:
		return nil, tooLarge()
	}
	return body, nil
}
