package cosmosfake

import (
	"encoding/json"
	"slices"
	"strconv"
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

// values are what a document has at the paths; a missing one is null (documentation, "Unique key constraints").
func (k uniqueKey) values(body []byte) string {
	var b strings.Builder
	for _, path := range k {
		value := lookup(body, path)
		if value == nil {
			b.WriteString("null,")
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

// uniqueIndex finds the documents of a range by their partition key and what they have at the paths of a unique key. It is
// made when it is first needed, from all documents, and forgotten when they change otherwise than by a transaction.
type uniqueIndex map[string][]*version

// entries are the document's places in the index, one for each unique key.
func (c *container) entries(pk string, body []byte) []string {
	list := make([]string, len(c.unique))
	for i, key := range c.unique {
		list[i] = strconv.Itoa(i) + pk + key.values(body)
	}
	return list
}

func (x uniqueIndex) add(v *version) {
	for _, at := range v.unique {
		x[at] = append(x[at], v)
	}
}

func (x uniqueIndex) remove(v *version) {
	for _, at := range v.unique {
		if left := slices.DeleteFunc(x[at], func(one *version) bool { return one == v }); len(left) > 0 {
			x[at] = left
		} else {
			delete(x, at)
		}
	}
}

// indexed is the range's index. The caller holds the lock.
func (p *partition) indexed(c *container) uniqueIndex {
	if p.unique == nil {
		p.unique = make(uniqueIndex)
		for _, v := range p.docs {
			v.unique = c.entries(v.pk(), v.body)
			p.unique.add(v)
		}
	}
	return p.unique
}

// checkUnique looks for another document of the logical partition with the same values, as the transaction sees it, and
// returns the document's places in the index.
func (t *transaction) checkUnique(d document, before *version) ([]string, *Error) {
	if len(t.c.unique) == 0 {
		return nil, nil
	}
	index, places := t.p.indexed(t.c), t.c.entries(string(d.pk), d.body)
	ended := make(map[*version]bool, len(t.changes))
	for _, c := range t.changes {
		ended[c.before] = true
	}
	stands := func(v *version) bool { return v != before && !ended[v] && (t.lives == nil || t.lives(v)) }
	for _, c := range t.changes {
		if v := c.after; v != nil && stands(v) && slices.ContainsFunc(places, func(at string) bool { return slices.Contains(v.unique, at) }) {
			return nil, conflict()
		}
	}
	for _, at := range places {
		if slices.ContainsFunc(index[at], stands) {
			return nil, conflict()
		}
	}
	return places, nil
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
