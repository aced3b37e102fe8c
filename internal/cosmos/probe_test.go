package cosmos_test

import (
	"net/http"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
)

// TestTryWrite tells a key that may write from one that may only read, and changes nothing.
func TestTryWrite(t *testing.T) {
	a := newAccount(t)
	c := a.container()
	a.put("a", `{"id":"1","tenant":"a"}`)
	if err := a.client.TryWrite(t.Context(), c); err != nil {
		t.Errorf("got %v want nil", err)
	}
	a.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if r.Method == http.MethodDelete {
			return &cosmosfake.Fault{Status: 401, Message: "The input authorization token can't serve the request."}
		}
		return nil
	})
	if got := cosmos.StatusOf(a.client.TryWrite(t.Context(), c)); got != 401 {
		t.Errorf("got %d want 401", got)
	}
	a.server.SetHook(nil)
	other := *c
	other.Name = "nothing"
	if got := cosmos.StatusOf(a.client.TryWrite(t.Context(), &other)); got != 404 {
		t.Errorf("got %d want 404: the container is not there", got)
	}
	items := 0
	for _, span := range a.ranges() {
		pages, _ := a.drain(c, span, "")
		items += len(pages)
	}
	if items != 1 {
		t.Errorf("got %d documents want 1", items)
	}
}
