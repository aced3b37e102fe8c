// Package schemas_test holds the JSON Schema of the contract against what the product writes and refuses.
package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cosmos-almanac/almanac/schemas"
)

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../schemas/almanac.schema.json#/$defs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func samples() map[string]any {
	now := time.Date(2026, 11, 20, 10, 15, 0, 0, time.UTC)
	whole := schemas.WholeRange()
	halt := &schemas.Halt{Unit: "range shop.products -FF", Reason: "r", Evidence: "e", Since: now}
	return map[string]any{
		"mark": &schemas.Mark{
			Container: "shop.products", Incarnation: "x", Range: whole, Mode: schemas.LatestVersion, Generation: 1,
			Basis: schemas.BasisComplete, LSN: 4, Newest: 4, Drained: true, CompleteTo: now, Latest: now, Offsets: schemas.Offsets{0: 5, 3: 1},
		},
		"claimCheck": schemas.NewClaimCheck(schemas.LargeFile(now, schemas.NewUUID()), []byte("{}")),
		"topic":      schemas.Topic{UUID: schemas.NewUUID(), Format: schemas.FormatVersion},
		"halt":       halt,
		"gap":        schemas.Gap{From: 3, To: 9},
		"quarantine": schemas.Quarantine{Reason: "r", Key: []byte("k"), Headers: []schemas.QuarantineHeader{{Key: "h", Value: []byte{0}}}, Foreign: true},
		"checkpoint": &schemas.Checkpoint{
			Container: "shop.products", Incarnation: "x", Range: whole, Mode: schemas.LatestVersion, Config: -1,
			Basis: schemas.BasisNone, Latest: now, Offsets: schemas.Offsets{}, Halt: halt, WriteID: schemas.NewUUID(), WrittenAt: now,
		},
		"seed": &schemas.Seed{
			Container: "shop.products", Incarnation: "x", Ranges: []schemas.FeedRange{whole}, Start: schemas.StartNow,
			Mode: schemas.LatestVersion, Partitions: 4, WriteID: schemas.NewUUID(),
		},
	}
}

func TestWhatIsWrittenIsValid(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(sample)
			if err != nil {
				t.Fatal(err)
			}
			s := compile(t, name)
			if err := validate(s, text); err != nil {
				t.Errorf("%s\n%v", text, err)
			}
			var members map[string]json.RawMessage
			if err := json.Unmarshal(text, &members); err != nil {
				t.Fatal(err)
			}
			for member := range members {
				spoilt := strings.Replace(string(text), fmt.Sprintf("%q:", member), fmt.Sprintf("%q:", member+"?"), 1)
				if err := validate(s, []byte(spoilt)); err == nil {
					t.Errorf("a renamed %q passed", member)
				}
			}
		})
	}
}
