package cosmosfake

import (
	"encoding/json"
	"strings"
)

// uniqueKey is a list of paths whose values together stand at most once in a logical partition.
type uniqueKey [][]string

// parseUniqueKeys reads uniqueKeyPolicy of a definition.
func parseUniqueKeys(definition []byte) ([]uniqueKey, *Error) {
	var sent struct {
		Policy struct {
			Keys []struct {
				Paths []string `json:"paths"`
			} `json:"uniqueKeys"`
		} `json:"uniqueKeyPolicy"`
	}
	if err := json.Unmarshal(definition, &sent); err != nil {
		return nil, badRequest("The uniqueKeyPolicy is invalid: %v.", err)
	}
	var keys []uniqueKey
	for _, one := range sent.Policy.Keys {
		var key uniqueKey
		for _, path := range one.Paths {
			names := strings.Split(strings.TrimPrefix(path, "/"), "/")
			if !strings.HasPrefix(path, "/") || names[0] == "" {
				return nil, badRequest("The unique key path %q is invalid: want one such as /a/b.", path)
			}
			key = append(key, names)
		}
		if len(key) == 0 {
			return nil, badRequest("A unique key has no paths.")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// values are what a document has at the paths; a missing one counts as a value, as the service has it.
func (k uniqueKey) values(body []byte) string {
	var b strings.Builder
	for _, path := range k {
		value := lookup(body, path)
		if value == nil {
			b.WriteString("missing,")
			continue
		}
		var v any
		if err := json.Unmarshal(value, &v); err == nil {
			if text, err := json.Marshal(v); err == nil {
				value = text
			}
		}
		b.Write(value)
		b.WriteByte(',')
	}
	return b.String()
}

// checkUnique looks through the documents of the logical partition as the transaction sees them. It reads all keys of
// the range: a container with unique keys pays for it, others do not.
func (t *transaction) checkUnique(d document, before *version) *Error {
	if len(t.c.unique) == 0 {
		return nil
	}
	for _, key := range t.c.unique {
		want := key.values(d.body)
		same := func(v *version) bool {
			return v != before && v.pk() == string(d.pk) && v.id() != string(d.id) && key.values(v.body) == want
		}
		changed := make(map[string]bool, len(t.changes))
		for _, c := range t.changes {
			if c.before != nil {
				changed[c.before.key] = true
			}
			if c.after != nil {
				changed[c.after.key] = true
			}
		}
		for id := range changed {
			if v := t.current([]byte(id)); v != nil && same(v) {
				return conflict()
			}
		}
		for id, v := range t.p.docs {
			if !changed[id] && (t.lives == nil || t.lives(v)) && same(v) {
				return conflict()
			}
		}
	}
	return nil
}

// checkUniqueKeys refuses a definition with other unique keys than before: they are given at creation only.
func checkUniqueKeys(c *container, definition []byte) *Error {
	keys, e := parseUniqueKeys(definition)
	if e != nil {
		return e
	}
	was, _ := json.Marshal(c.unique)
	is, _ := json.Marshal(keys)
	if string(was) != string(is) {
		return badRequest("The unique index cannot be modified. To change the unique index, remove the collection and re-create a new one.")
	}
	return nil
}
