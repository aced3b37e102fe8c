package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// KeyDefinition is the partition key of a container: its paths, and how the service hashes it. Only version 2
// hashing is known; ParseKeyDefinition refuses version 1 by name.
type KeyDefinition struct {
	Paths [][]string // property names, outermost first, per level
	Multi bool       // hierarchical (MultiHash): every level is hashed by itself
}

// ParseKeyDefinition reads the `partitionKey` member of a container's resource, such as
// {"paths":["/tenant","/user"],"kind":"MultiHash","version":2}.
func ParseKeyDefinition(resource []byte) (KeyDefinition, error) {
	var c struct {
		PartitionKey *struct {
			Paths   []string `json:"paths"`
			Kind    string   `json:"kind"`
			Version int      `json:"version"`
		} `json:"partitionKey"`
	}
	if err := json.Unmarshal(resource, &c); err != nil {
		return KeyDefinition{}, fmt.Errorf("parse container definition: %w", err)
	}
	switch {
	case c.PartitionKey == nil || len(c.PartitionKey.Paths) == 0:
		return KeyDefinition{}, errors.New("container has no partition key: such containers cannot be archived")
	case c.PartitionKey.Version < 2:
		return KeyDefinition{}, errors.New("container hashes its partition key by version 1: only version 2 can be archived")
	case len(c.PartitionKey.Paths) > 3:
		return KeyDefinition{}, fmt.Errorf("container has %d partition key levels: at most 3 are known", len(c.PartitionKey.Paths))
	}
	d := KeyDefinition{Multi: c.PartitionKey.Kind == "MultiHash"}
	for _, p := range c.PartitionKey.Paths {
		path, err := ParsePath(p)
		if err != nil {
			return KeyDefinition{}, fmt.Errorf("parse partition key path: %w", err)
		}
		d.Paths = append(d.Paths, path)
	}
	return d, nil
}

// ParsePath splits a property path of the service's form, `/address/"zip/code"`, into property names.
func ParsePath(path string) ([]string, error) {
	var names []string
	for rest := path; rest != ""; {
		if rest[0] != '/' {
			return nil, fmt.Errorf("path %q: every name begins with a slash", path)
		}
		rest = rest[1:]
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, fmt.Errorf("path %q: a quotation mark is missing", path)
			}
			names = append(names, rest[1:1+end])
			rest = rest[end+2:]
			continue
		}
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			end = len(rest)
		}
		names = append(names, rest[:end])
		rest = rest[end:]
	}
	if len(names) == 0 || names[len(names)-1] == "" {
		return nil, fmt.Errorf("path %q: names nothing", path)
	}
	return names, nil
}

// keyWriter builds the canonical JSON array of a partition key and its effective partition key side by side.
type keyWriter struct {
	key, epk []byte
	hash     hashState
	scratch  []byte
}

func (w *keyWriter) begin() {
	w.key = append(w.key[:0], '[')
	w.epk = w.epk[:0]
	w.hash.input = w.hash.input[:0]
}

// component adds one level. value is JSON text; nil is undefined, as are objects and arrays, which the service
// hashes as if they were missing.
func (w *keyWriter) component(value []byte, multi bool) error {
	if len(w.key) > 1 {
		w.key = append(w.key, ',')
	}
	if err := w.add(value); err != nil {
		return err
	}
	if multi {
		w.epk = w.hash.appendSum(w.epk)
	}
	return nil
}

func (w *keyWriter) end(multi bool) {
	w.key = append(w.key, ']')
	if !multi {
		w.epk = w.hash.appendSum(w.epk)
	}
}

func (w *keyWriter) add(value []byte) (err error) {
	switch {
	case value == nil || value[0] == '{' || value[0] == '[':
		w.key = append(w.key, "{}"...)
		w.hash.undefined()
	case value[0] == '"':
		if w.scratch, err = appendUnescaped(w.scratch[:0], value[1:len(value)-1]); err != nil {
			return err
		}
		w.key = appendQuoted(w.key, w.scratch)
		w.hash.text(w.scratch)
	case string(value) == "null":
		w.key = append(w.key, value...)
		w.hash.null()
	case string(value) == "true":
		w.key = append(w.key, value...)
		w.hash.truth()
	case string(value) == "false":
		w.key = append(w.key, value...)
		w.hash.falsity()
	default:
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return fmt.Errorf("number %q is no float64", value)
		}
		w.key = appendNumber(w.key, f)
		w.hash.number(f)
	}
	return nil
}

// appendNumber appends the shortest ECMAScript form, but keeps the sign of minus zero, which the service hashes
// unlike zero.
func appendNumber(dst []byte, f float64) []byte {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if format == 'e' { // e-07 is e-7 in ECMAScript
		if e := bytes.LastIndexByte(dst[n:], 'e'); e >= 0 && n+e+2 < len(dst)-1 && dst[n+e+2] == '0' {
			dst = append(dst[:n+e+2], dst[n+e+3:]...)
		}
	}
	return dst
}

// ParsePartitionKey reads a JSON array of key values (`["eu",42]`, `[null]`, `[{}]` for undefined) and returns its
// canonical form and its effective partition key for the definition. It serves command lines and gateways.
func (d KeyDefinition) ParsePartitionKey(array []byte) (canonical string, epk []byte, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(array, &parts); err != nil || parts == nil {
		return "", nil, fmt.Errorf("parse partition key %s: want a JSON array of its values, such as %s", array, asArray(array))
	}
	if len(parts) != len(d.Paths) {
		return "", nil, fmt.Errorf("parse partition key %s: want one value for each of the container's paths %s, got %d", array, d, len(parts))
	}
	var w keyWriter
	w.begin()
	for _, p := range parts {
		if err := w.component(p, d.Multi); err != nil {
			return "", nil, fmt.Errorf("parse partition key %q: %w", array, err)
		}
	}
	w.end(d.Multi)
	return string(w.key), w.epk, nil
}

// asArray is what was probably meant by a key that is no array.
func asArray(key []byte) string {
	text := strings.TrimSpace(string(key))
	if !json.Valid(key) || text[0] == '[' || text[0] == '{' {
		quoted, err := json.Marshal(strings.Trim(text, `"'[]`))
		if err != nil { // a string always is JSON
			return `["eu",42]`
		}
		text = string(quoted)
	}
	return "[" + text + "]"
}

// String is the paths, outermost first.
func (d KeyDefinition) String() string {
	paths := make([]string, len(d.Paths))
	for i, names := range d.Paths {
		for _, name := range names {
			if strings.Contains(name, "/") {
				name = `"` + name + `"`
			}
			paths[i] += "/" + name
		}
	}
	return strings.Join(paths, ", ")
}
