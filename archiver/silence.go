package archiver

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/cosmos-almanac/almanac/internal/kafka"
)

// silenceLook is how often the brokers are asked for the ends of logs of which nothing comes.
const silenceLook = 30 * time.Second

// lookAtSilence begins to read partitions anew that stand still although records wait: at one look they waited, and at the next
// one none had come. While the archiver itself is busy that says nothing: it asks for little then, and of some partitions for
// nothing. A client without topic ids goes on asking for a topic that is gone, or has fewer partitions now, and is answered with
// nothing; to begin anew is to compare the topic first.
func (a *Archiver) lookAtSilence(ctx context.Context, t *topic) {
	now := a.now()
	if now.Sub(t.lookedAtSilence) < silenceLook {
		return
	}
	busy := a.waited-t.waited < silenceLook/2
	t.lookedAtSilence, t.waited = now, a.waited
	var silent []*partition
	for _, p := range t.partitions {
		switch {
		case busy:
			p.stuck = -1
		case p.phase == reading && now.Sub(p.heard) >= silenceLook:
			silent = append(silent, p)
		}
	}
	if len(silent) == 0 {
		return
	}
	logs, unknown, err := kafka.KnownLogs(ctx, a.member, t.name)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.log.Warn("nothing comes, and the brokers do not tell whether there is something", slog.String("topic", t.name), slog.Any("error", err))
		return
	}
	for _, p := range silent {
		log, known := logs[p.number]
		if known {
			a.metrics.lag.WithLabelValues(t.name, strconv.Itoa(int(p.number))).Set(float64(max(0, log.End-p.next)))
		}
		switch waits := known && log.End != p.next || !known && unknown[p.number] == nil; {
		case !waits:
			p.stuck = -1
		case p.stuck != p.next:
			p.stuck = p.next
		default:
			a.log.Warn("records wait and none comes; beginning to read anew", slog.String("unit", unitOf(t.name, p.number)),
				slog.Int64("next", p.next), slog.Int64("end", log.End))
			p.stuck = -1
			a.restart(t, p)
		}
	}
}
