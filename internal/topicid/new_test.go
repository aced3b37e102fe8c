package topicid_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

// TestCheckNew: a topic that the archive knows is not made again, for its records would begin at offset 0 once more.
func TestCheckNew(t *testing.T) {
	root := mem.New()
	if err := topicid.CheckNew(t.Context(), root, "cosmos.shop.orders"); err != nil {
		t.Errorf("got %v want nil", err)
	}
	if _, err := topicid.Identify(t.Context(), root, "cosmos.shop.orders"); err != nil {
		t.Fatal(err)
	}
	err := topicid.CheckNew(t.Context(), root, "cosmos.shop.orders")
	var coded interface{ ExitCode() int }
	if !errors.As(err, &coded) || coded.ExitCode() != 2 || !strings.Contains(err.Error(), "cosmos.shop.orders/topic.json") {
		t.Errorf("got %v want exit code 2 and the object's name", err)
	}
	if err := topicid.CheckNew(t.Context(), root, "cosmos.shop.products"); err != nil {
		t.Errorf("got %v want nil", err)
	}
}
