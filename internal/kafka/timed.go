package kafka

import (
	"context"

	"github.com/cosmos-almanac/almanac/internal/sleep"
)

// timed bounds one request by topicTimeout and ctx, which the client alone does not: while a connection begins it waits for a
// broker that says nothing as long as for any answer. What is left behind ends with the client.
func timed[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	return sleep.Await(ctx, ask)
}
