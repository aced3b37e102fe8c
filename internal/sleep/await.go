package sleep

import (
	"context"
	"time"
)

// giveUp is how long a call that has run out of time may take to say what it waited for.
const giveUp = 100 * time.Millisecond

// Await is ask's answer, or the context's error when it comes first: for calls that wait on when their context has ended.
// What such a call does afterwards is its own, so it gives all that it has by its answer.
func Await[T any](ctx context.Context, ask func(context.Context) (T, error)) (got T, err error) {
	type answer struct {
		got T
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		got, err := ask(ctx)
		answers <- answer{got, err}
	}()
	select {
	case a := <-answers:
		return a.got, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-answers:
		return a.got, a.err
	case <-time.After(giveUp):
		return got, ctx.Err()
	}
}
