package cosmosfake_test

import (
	"encoding/json"
	"testing"

	"github.com/cosmos-almanac/almanac/schemas"
)

// strip takes the service's properties out again, by the product's own code.
func strip(t *testing.T, document []byte) []byte {
	t.Helper()
	plain, err := schemas.AppendWithoutSystem(nil, document)
	if err != nil {
		t.Fatalf("strip %s: %v", document, err)
	}
	return plain
}

func lsnOf(t *testing.T, document []byte) int64 {
	t.Helper()
	var d struct {
		LSN int64 `json:"_lsn"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	return d.LSN
}
