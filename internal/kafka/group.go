package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// OnRefused calls refused when the brokers do not let the client into the group for a reason that no new attempt changes;
// the client itself would try for ever. It may be called more than once, and from the client's own goroutine.
func OnRefused(cfg config.Kafka, group string, refused func(*ConfigError)) kgo.Opt {
	return kgo.WithHooks(groupHook(func(err error) {
		switch {
		case errors.Is(err, kerr.InvalidSessionTimeout):
			refused(&ConfigError{fmt.Errorf("kafka.session_timeout %v is refused by the brokers for consumer group %s: choose one between their "+
				"group.min.session.timeout.ms (by default 6s) and group.max.session.timeout.ms (by default 30m): %v", cfg.SessionTimeout, group, err)})
		case errors.Is(err, kerr.GroupAuthorizationFailed):
			refused(&ConfigError{fmt.Errorf("consumer group %s may not be joined: grant Read on the group: %w", group, err)})
		}
	}))
}

// groupHook is told each error that ends a group session.
type groupHook func(error)

// OnGroupManageError implements kgo.HookGroupManageError.
func (h groupHook) OnGroupManageError(err error) { h(err) }
