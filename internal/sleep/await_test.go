package sleep_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/sleep"
)

func TestAwait(t *testing.T) {
	refused := errors.New("refused")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	deaf := make(chan struct{})
	defer close(deaf)
	for _, test := range []struct {
		name string
		ctx  context.Context
		ask  func(context.Context) (int, error)
		got  int
		err  error
	}{
		{"answer", t.Context(), func(context.Context) (int, error) { return 7, nil }, 7, nil},
		{"error", t.Context(), func(context.Context) (int, error) { return 0, refused }, 0, refused},
		{"late answer", ended, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, refused }, 0, refused},
		{"no answer", ended, func(context.Context) (int, error) { <-deaf; return 7, nil }, 0, context.Canceled},
	} {
		if got, err := sleep.Await(test.ctx, test.ask); got != test.got || !errors.Is(err, test.err) {
			t.Errorf("%s: got %d, %v want %d, %v", test.name, got, err, test.got, test.err)
		}
	}
}
