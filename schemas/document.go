package schemas

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ErrUnkeyed reports a document that cannot be keyed: its id or a key property stands twice, is missing where it
// must be, or is no value that identifies. Such a document becomes an almanac.unkeyed event, never a change.
var ErrUnkeyed = errors.New("document cannot be keyed")

// Document is what an event needs to know of a document. Slices point into the text that was scanned or into
// buffers of the Document's own, which the next Scan uses again.
type Document struct {
	ID   []byte // unescaped UTF-8
	Key  []byte // canonical JSON array of the partition key
	EPK  []byte // effective partition key
	LSN  LSN    // the service's _lsn, 0 when absent
	TS   int64  // _ts, seconds since 1970, 0 when absent
	ETag []byte // _etag, unescaped, with its quotation marks
	RID  []byte // _rid
	TTL  TTL    // the item's own ttl

	keys   keyWriter
	values [3][]byte
	text   [3][]byte // buffers of ID, ETag, RID
}

// TTL is an item's own `ttl`: Set tells whether it has one; -1 is never, else seconds from `_ts`.
type TTL struct {
	Seconds int32
	Set     bool
}

// Scan reads a document of the feed. An error that wraps ErrUnkeyed leaves the system fields filled as far as they
// were found; any other error means that the text is no JSON object.
func (d *Document) Scan(def KeyDefinition, text []byte) error {
	d.ID, d.Key, d.EPK, d.ETag, d.RID = nil, nil, nil, nil, nil
	d.LSN, d.TS, d.TTL = 0, 0, TTL{}
	d.values = [3][]byte{}
	var unkeyed error
	var seen [3]int
	_, err := walkObject(text, func(m member) error {
		value := text[m.start:m.end]
		if err := d.system(m.name, value, &unkeyed); err != nil {
			return err
		}
		for level, path := range def.Paths {
			if !nameIs(m.name, path[0]) {
				continue
			}
			if seen[level]++; seen[level] > 1 {
				unkeyed = fmt.Errorf("%w: %q of its partition key path stands twice", ErrUnkeyed, path[0])
				continue
			}
			if err := d.keyValue(level, path[1:], value); err != nil {
				unkeyed = err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("scan document: %w", err)
	}
	if unkeyed == nil && d.ID == nil {
		unkeyed = fmt.Errorf("%w: it has no id", ErrUnkeyed)
	}
	if unkeyed != nil {
		return unkeyed
	}
	return d.writeKey(def)
}

func (d *Document) writeKey(def KeyDefinition) error {
	d.keys.begin()
	for level := range def.Paths {
		if err := d.keys.component(d.values[level], def.Multi); err != nil {
			return fmt.Errorf("%w: partition key: %w", ErrUnkeyed, err)
		}
	}
	d.keys.end(def.Multi)
	d.Key, d.EPK = d.keys.key, d.keys.epk
	return nil
}

// system takes the members that every document has by name.
func (d *Document) system(name, value []byte, unkeyed *error) (err error) {
	switch {
	case nameIs(name, "id"):
		if d.ID != nil {
			*unkeyed = fmt.Errorf("%w: its id stands twice", ErrUnkeyed)
			return nil
		}
		id, err := d.unquote(0, value)
		if err != nil {
			*unkeyed = fmt.Errorf("%w: id: %w", ErrUnkeyed, err)
			return nil
		}
		d.ID = id
	case string(name) == "_etag":
		d.ETag, err = d.unquote(1, value)
	case string(name) == "_rid":
		d.RID, err = d.unquote(2, value)
	case string(name) == "_lsn":
		d.LSN, _ = ParseLSN(string(value)) // the service's is the last one; a user's may be anything
	case string(name) == "_ts":
		d.TS, err = strconv.ParseInt(string(value), 10, 64)
	case nameIs(name, "ttl"):
		if n, perr := strconv.ParseInt(string(value), 10, 32); perr == nil {
			d.TTL = TTL{Seconds: int32(n), Set: true}
		}
		return nil
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("property %s: %w", name, err)
	}
	return nil
}

func (d *Document) unquote(buffer int, value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '"' {
		return nil, fmt.Errorf("%q is no string", value)
	}
	plain, err := appendUnescaped(d.text[buffer][:0], value[1:len(value)-1])
	d.text[buffer] = plain
	if plain == nil {
		plain = []byte{}
	}
	return plain, err
}

// keyValue finds the rest of a key path inside value. A name that stands twice on the way makes the document
// unkeyed, because readers differ in which of the two they take.
func (d *Document) keyValue(level int, path []string, value []byte) error {
	if len(path) == 0 {
		d.values[level] = value
		return nil
	}
	if value[0] != '{' {
		return nil
	}
	var inner error
	seen := 0
	_, err := walkObject(value, func(m member) error {
		if !nameIs(m.name, path[0]) {
			return nil
		}
		if seen++; seen > 1 {
			inner = fmt.Errorf("%w: %q of its partition key path stands twice", ErrUnkeyed, path[0])
			return nil
		}
		if err := d.keyValue(level, path[1:], value[m.start:m.end]); err != nil {
			inner = err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnkeyed, err)
	}
	return inner
}

// SystemProperties are the members that the service adds to a document and that are dropped when it is written
// back (INV-6). It puts its own in the place of a user's, but for `_lsn`, which stands beside the user's, behind `_ts`,
// and in the change feed only (github.com/microsoft/kafka-connect-cosmosdb/issues/46).
func SystemProperties() []string {
	return []string{"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"}
}

func isSystemProperty(name []byte) bool {
	switch string(name) {
	case "_rid", "_self", "_etag", "_attachments", "_ts", "_lsn":
		return true
	}
	return false
}

// AppendWithoutSystem appends document without its system properties and otherwise byte for byte; a `_lsn` in front of
// `_ts` is the user's, and a `_metadata` behind the service's `_lsn` is the service's, which its feed had once. The service splices them in before the last brace, each behind a comma, so every one goes with the comma before it; those
// that stand before every other member go with all that follows them up to the first one kept.
func AppendWithoutSystem(dst, document []byte) ([]byte, error) {
	start := len(dst)
	next := 0 // document[:next] is in dst, or was dropped
	kept, stamped, fed := false, false, false
	closing, err := walkObject(document, func(m member) error {
		var system bool
		switch string(m.name) {
		case "_lsn":
			system = stamped
			fed = fed || stamped
		case "_metadata":
			system = fed
		default:
			system = isSystemProperty(m.name)
			stamped = stamped || string(m.name) == "_ts"
		}
		switch {
		case system && kept:
			dst = append(dst, document[next:m.comma]...)
			next = m.end
		case system:
			if m.comma < 0 {
				dst = append(dst, document[:m.from]...)
			}
			next = m.end
		case !kept:
			kept = true
			if m.comma >= 0 {
				next = m.from
			}
		}
		return nil
	})
	if err != nil {
		return dst[:start], fmt.Errorf("strip system properties: %w", err)
	}
	if !kept && next > 0 {
		next = closing
	}
	return append(dst, document[next:]...), nil
}

// LookupScalar returns the JSON text of the value at path, or nil when it is absent or stands behind something
// that is no object. Of a name that stands twice the last counts, as in most JSON readers.
func LookupScalar(document []byte, path []string) ([]byte, error) {
	value := document
	for _, name := range path {
		var found []byte
		if i := skipBlank(value, 0); i >= len(value) || value[i] != '{' {
			return nil, nil
		}
		if _, err := walkObject(value, func(m member) error {
			if nameIs(m.name, name) {
				found = value[m.start:m.end]
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("look up %v: %w", path, err)
		}
		if found == nil {
			return nil, nil
		}
		value = found
	}
	return slices.Clip(value), nil
}
