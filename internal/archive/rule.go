package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Deletes declares how an application deletes documents, which the LatestVersion feed does not show. Points are exact
// only because of this declaration, and say so.
type Deletes string

// The declarations of this version.
const (
	DeletesNone Deletes = "none" // documents are never deleted
	DeletesSoft Deletes = "soft" // a document is deleted by setting a property
)

// Rules are what a container's owner declared of it. They are applied when a container is folded, never to what is
// archived, so that a wrong rule can be mended.
type Rules struct {
	Deletes Deletes         `json:"deletes"`
	Path    string          `json:"path,omitempty"`  // of the soft-delete property, such as /deleted
	Value   json.RawMessage `json:"value,omitempty"` // the JSON scalar that means deleted

	names []string
	want  scalar
}

// NewRules checks a declaration. Path and value belong to DeletesSoft and are empty otherwise.
func NewRules(deletes Deletes, path string, value json.RawMessage) (Rules, error) {
	r := Rules{Deletes: deletes, Path: path, Value: value}
	switch deletes {
	case DeletesNone:
		if path != "" || value != nil {
			return r, fmt.Errorf("rules: a soft-delete property needs deletes: %s", DeletesSoft)
		}
		return r, nil
	case DeletesSoft:
	default:
		return r, fmt.Errorf("rules: deletes %q is not known, want %s or %s", deletes, DeletesNone, DeletesSoft)
	}
	var err error
	if r.names, err = schemas.ParsePath(path); err != nil {
		return r, fmt.Errorf("rules: %w", err)
	}
	if r.want, err = parseScalar(value); err != nil {
		return r, fmt.Errorf("rules: soft-delete value: %w", err)
	}
	return r, nil
}

// Deleted tells whether the rules take a document for deleted.
func (r *Rules) Deleted(document []byte) (bool, error) {
	if r.Deletes != DeletesSoft {
		return false, nil
	}
	text, err := schemas.LookupScalar(document, r.names)
	if err != nil || len(text) == 0 || text[0] == '{' || text[0] == '[' {
		return false, err
	}
	if !r.want.mayEqual(text) {
		return false, nil
	}
	have, err := parseScalar(text)
	return err == nil && have == r.want, err
}

// Equal tells whether both mean the same.
func (r *Rules) Equal(other *Rules) bool {
	return r.Deletes == other.Deletes && r.Path == other.Path && r.want == other.want
}

// String is the declaration as a point shows it.
func (r *Rules) String() string {
	if r.Deletes == DeletesSoft {
		return fmt.Sprintf("deletes: soft (%s = %s)", r.Path, r.Value)
	}
	return "deletes: " + string(r.Deletes)
}

// UnmarshalJSON reads what json.Marshal wrote, and checks it as NewRules does.
func (r *Rules) UnmarshalJSON(b []byte) error {
	var plain struct {
		Deletes Deletes         `json:"deletes"`
		Path    string          `json:"path"`
		Value   json.RawMessage `json:"value"`
	}
	err := json.Unmarshal(b, &plain)
	if err == nil {
		*r, err = NewRules(plain.Deletes, plain.Path, plain.Value)
	}
	return err
}

// scalar is a JSON scalar by its meaning: kind is the text's first byte, '0' for numbers. Numbers are float64, as the
// service and most readers take them; one that is none keeps its text.
type scalar struct {
	kind   byte
	text   string
	number float64
}

func parseScalar(text []byte) (scalar, error) {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return scalar{}, fmt.Errorf("%q is no JSON scalar", text)
	case text[0] == '"':
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return scalar{}, fmt.Errorf("%q is no JSON string: %w", text, err)
		}
		return scalar{kind: '"', text: s}, nil
	case string(text) == "true" || string(text) == "false" || string(text) == "null":
		return scalar{kind: text[0]}, nil
	}
	if !json.Valid(text) || text[0] == '{' || text[0] == '[' {
		return scalar{}, fmt.Errorf("%q is no JSON scalar", text)
	}
	number, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return scalar{kind: '0', text: string(text)}, nil // beyond float64: equal to itself only
	}
	return scalar{kind: '0', number: number}, nil
}

// mayEqual spares most documents the decoding of their value.
func (s scalar) mayEqual(text []byte) bool {
	switch c := text[0]; s.kind {
	case '0':
		return c == '-' || c >= '0' && c <= '9'
	default:
		return c == s.kind
	}
}
