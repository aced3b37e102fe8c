package cosmosfake

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
	"github.com/cosmos-almanac/almanac/schemas"
)

// maxPatches is the service's limit of the operations of one patch.
const maxPatches = 10

// patch is a partial update of a document (service documentation, "Partial document update"). What it does not touch
// keeps its bytes.
type patch struct {
	condition *sql.Statement // nil is none
	ops       []patchOp
}

// patchOp is one operation.
type patchOp struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
	From  string          `json:"from"`
}

// parsePatch reads {"condition", "operations"}, or the operations alone, as the JavaScript SDK sends them.
func parsePatch(raw []byte, c *container) (*patch, *Error) {
	var sent struct {
		Condition  string    `json:"condition"`
		Operations []patchOp `json:"operations"`
	}
	if bytes.HasPrefix(raw, []byte{'['}) {
		raw = slices.Concat([]byte(`{"operations":`), raw, []byte{'}'})
	}
	if err := scanObject(raw, nil); err != nil {
		return nil, badRequest("The input content is invalid: %v.", err)
	}
	if err := json.Unmarshal(raw, &sent); err != nil {
		return nil, badRequest("The patch is invalid: %v.", err)
	}
	switch n := len(sent.Operations); {
	case n == 0:
		return nil, badRequest("The patch has no operations.")
	case n > maxPatches:
		return nil, badRequest("The number of patch operations can't exceed '%d'.", maxPatches)
	}
	for i := range sent.Operations {
		if e := sent.Operations[i].check(c); e != nil {
			return nil, e
		}
	}
	p := &patch{ops: sent.Operations}
	if sent.Condition != "" {
		var e *Error
		if p.condition, e = compile("SELECT * "+sent.Condition, nil); e != nil {
			return nil, e
		}
	}
	return p, nil
}

// patchItem answers PATCH /docs/{id}.
func (s *Server) patchItem(a *answer, r *http.Request, c *container, id string) *Error {
	pk, epk, e := readKey(r, c)
	if e != nil {
		return e
	}
	raw, e := readBody(r)
	if e != nil {
		return e
	}
	p, e := parsePatch(raw, c)
	if e != nil {
		return e
	}
	op := operation{verb: verbPatch, key: append([]byte(pk), id...), ifMatch: r.Header.Get("If-Match"), patch: p}
	return s.runOne(a, r, c, epk, &op)
}

// patched makes the document that takes the place of before.
func (t *transaction) patched(p *patch, before *version) (document, *Error) {
	if p.condition != nil {
		rows, err := p.condition.Rows(before.spliced(t.c))
		if err != nil {
			return document{}, invalidQuery(err)
		}
		if len(rows) == 0 {
			e := preconditionFailed()
			e.Substatus = 1110
			return document{}, e
		}
	}
	body, e := p.apply(before.body)
	if e != nil {
		return document{}, e
	}
	var scan schemas.Document
	return t.s.parseDocument(t.c.key, &scan, body)
}

func (o *patchOp) check(c *container) *Error {
	switch o.Op {
	case "add", "set", "replace", "incr", "increment":
		if o.Value == nil {
			o.Value = json.RawMessage("null")
		}
	case "remove":
	case "move":
		if e := checkPatchPath(o.From, c); e != nil {
			return e
		}
	default:
		return badRequest("The patch operation %q is unknown, want add, set, replace, remove, incr or move.", o.Op)
	}
	if strings.HasPrefix(o.Op, "incr") {
		if _, err := strconv.ParseFloat(string(o.Value), 64); err != nil {
			return badRequest("The increment of %s by %s is invalid: want a number.", o.Path, o.Value)
		}
	}
	return checkPatchPath(o.Path, c)
}

// checkPatchPath refuses what cannot be changed: the id, the partition key and the service's own properties.
func checkPatchPath(path string, c *container) *Error {
	names, e := patchNames(path)
	if e != nil {
		return e
	}
	if names[0] == "id" || isSystemProperty(names[0]) {
		return badRequest("Cannot update system property at path %q.", path)
	}
	for _, key := range c.key.Paths {
		n := min(len(key), len(names))
		if slices.Equal(key[:n], names[:n]) {
			return badRequest("Cannot update partition key property at path %q.", path)
		}
	}
	return nil
}

// patchNames reads a JSON pointer (RFC 6901).
func patchNames(path string) ([]string, *Error) {
	if !strings.HasPrefix(path, "/") || path == "/" {
		return nil, badRequest("The patch path %q is invalid: want a JSON pointer such as /a/b.", path)
	}
	names := strings.Split(path[1:], "/")
	for i, name := range names {
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	return names, nil
}

// apply makes the changed document.
func (p *patch) apply(body []byte) ([]byte, *Error) {
	for _, o := range p.ops {
		var e *Error
		if body, e = o.apply(body); e != nil {
			return nil, e
		}
	}
	return body, nil
}

func (o patchOp) apply(body []byte) ([]byte, *Error) {
	names, e := patchNames(o.Path)
	if e != nil {
		return nil, e
	}
	if o.Op != "move" {
		return o.edit(body, names)
	}
	from, e := patchNames(o.From)
	if e != nil {
		return nil, e
	}
	value := lookup(body, from)
	if value == nil {
		return nil, o.missing(o.From)
	}
	value = slices.Clone(value)
	if body, e = (patchOp{Op: "remove", Path: o.From}).edit(body, from); e != nil {
		return nil, e
	}
	return patchOp{Op: "add", Path: o.Path, Value: value}.edit(body, names)
}

func (o patchOp) missing(path string) *Error {
	return badRequest("For the operation %s, the path %q does not exist in the document.", o.Op, path)
}

// lookup is the value at a path; nil is none.
func lookup(text []byte, names []string) []byte {
	for _, name := range names {
		at := child(text, name)
		if at.end == 0 {
			return nil
		}
		text = text[at.start:at.end]
	}
	return text
}

// child finds a member of an object or an element of an array; the last of those that share a name. Its comma and
// from are where it begins in its parent.
func child(text []byte, name string) (at member) {
	switch text[0] {
	case '{':
		_ = scanObject(text, func(m member) error { // kept documents are well-formed
			if memberName(text, m) == name {
				at = m
			}
			return nil
		})
	case '[':
		index, err := strconv.Atoi(name)
		if err != nil {
			return at
		}
		i, comma := 0, -1
		_ = scanArray(text, func(start, end int) error {
			if i == index {
				at = member{comma: comma, from: start, start: start, end: end}
			}
			comma = skipBlank(text, end)
			i++
			return nil
		})
	}
	return at
}

// edit does the operation at the path below text, which is an object or an array.
func (o patchOp) edit(text []byte, names []string) ([]byte, *Error) {
	if text[0] != '{' && text[0] != '[' {
		return nil, o.missing(o.Path)
	}
	at := child(text, names[0])
	if len(names) > 1 {
		if at.end == 0 {
			return nil, o.missing(o.Path)
		}
		inner, e := o.edit(text[at.start:at.end], names[1:])
		if e != nil {
			return nil, e
		}
		return splice(text, at.start, at.end, inner), nil
	}
	switch {
	case o.Op == "remove" && at.end == 0, o.Op == "replace" && at.end == 0:
		return nil, o.missing(o.Path)
	case o.Op == "remove":
		return cutMember(text, at), nil
	case text[0] == '[' && o.Op == "add":
		return o.insert(text, names[0], at)
	case strings.HasPrefix(o.Op, "incr") && at.end != 0:
		sum, e := increment(text[at.start:at.end], o.Value)
		if e != nil {
			return nil, e
		}
		return splice(text, at.start, at.end, sum), nil
	case at.end != 0:
		return splice(text, at.start, at.end, o.Value), nil
	case text[0] == '[':
		return o.insert(text, names[0], at)
	}
	return appendMember(text, append([]byte(quote(names[0])+":"), o.Value...)), nil
}

// insert puts an element into an array: before the one at the index, or at the end.
func (o patchOp) insert(text []byte, name string, at member) ([]byte, *Error) {
	n := 0
	_ = scanArray(text, func(int, int) error { n++; return nil })
	index, err := strconv.Atoi(name)
	switch {
	case at.end != 0:
		return splice(text, at.start, at.start, append(slices.Clone(o.Value), ',')), nil
	case name == "-" || err == nil && index == n:
		return appendMember(text, o.Value), nil
	}
	return nil, badRequest("The patch path %q is beyond the end of an array of %d elements.", o.Path, n)
}

// appendMember puts a member or an element before the closing brace or bracket.
func appendMember(text, what []byte) []byte {
	last := len(text) - 1
	if skipBlank(text, 1) != last {
		what = append([]byte{','}, what...)
	}
	return splice(text, last, last, what)
}

// cutMember removes a member with one of the commas beside it.
func cutMember(text []byte, at member) []byte {
	if at.comma >= 0 {
		return splice(text, at.comma, at.end, nil)
	}
	end := skipBlank(text, at.end)
	if text[end] == ',' {
		end = skipBlank(text, end+1)
	}
	return splice(text, at.from, end, nil)
}

func splice(text []byte, from, to int, with []byte) []byte {
	out := make([]byte, 0, len(text)-(to-from)+len(with))
	return append(append(append(out, text[:from]...), with...), text[to:]...)
}

// increment adds two numbers: whole ones exactly as long as they fit.
func increment(value, by []byte) ([]byte, *Error) {
	a, errA := strconv.ParseInt(string(value), 10, 64)
	b, errB := strconv.ParseInt(string(by), 10, 64)
	if errA == nil && errB == nil && (b >= 0 && a <= math.MaxInt64-b || b < 0 && a >= math.MinInt64-b) {
		return strconv.AppendInt(nil, a+b, 10), nil
	}
	x, errA := strconv.ParseFloat(string(value), 64)
	y, errB := strconv.ParseFloat(string(by), 64)
	if errA != nil || errB != nil {
		return nil, badRequest("The value %s cannot be incremented: it is no number.", value)
	}
	sum, err := json.Marshal(x + y)
	if err != nil {
		return nil, badRequest("The sum of %s and %s is no number.", value, by)
	}
	return sum, nil
}
