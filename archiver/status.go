package archiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/schemas"
)

type statusCommand struct{}

// Run prints where the topic partitions stand. What the archive says is printed also when the brokers do not answer.
func (c *statusCommand) Run(ctx context.Context, env *service.Env) error {
	options, err := optionsOf(env)
	if err != nil {
		return err
	}
	status, err := ReadStatus(ctx, options)
	if status == nil {
		return err
	}
	return errors.Join(env.Print(status, status.write), err)
}

// Status is how far the topics are archived.
type Status struct {
	Topics []TopicStatus `json:"topics"`
}

// TopicStatus is one topic and its table.
type TopicStatus struct {
	Topic      string            `json:"topic"`
	UUID       string            `json:"uuid"`           // empty: nobody has begun it
	Version    int64             `json:"table_version"`  // -1: there is no table yet
	Halt       *schemas.Halt     `json:"halt,omitempty"` // of the topic as a whole
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one topic partition. Start, End and Lag are absent when the brokers did not tell.
type PartitionStatus struct {
	Partition int32         `json:"partition"`
	State     string        `json:"state"`              // one of those below
	Archived  *int64        `json:"archived,omitempty"` // the last archived offset; absent: none
	Start     *int64        `json:"log_start,omitempty"`
	End       *int64        `json:"log_end,omitempty"` // the offset behind the last record
	Lag       *int64        `json:"lag,omitempty"`     // records that are not archived yet
	Other     string        `json:"other,omitempty"`   // with state missing, other or uuid: what shows it
	Halt      *schemas.Halt `json:"halt,omitempty"`    // of the partition alone
}

// The states of a topic partition.
const (
	stateArchived = "archived" // all of it
	statePending  = "pending"  // records wait for the next commit, none of them for long
	stateBehind   = "behind"   // records wait for longer than commits are apart, see patience
	stateGap      = "gap"      // the log begins after what would come next: records are lost
	stateShorter  = "shorter"  // the log ends before the archive does: the topic was made anew
	stateMissing  = "missing"  // the topic has no such partition any more: it was made anew
	stateOther    = "other"    // the topic holds another record than was archived: it was made anew, and has grown since
	stateUUID     = "uuid"     // what comes next carries the uuid of another archive's topic
	stateHalted   = "halted"
	stateUnknown  = "unknown" // the brokers did not tell
)

// ReadStatus reads tables, halts, the logs' bounds, and what stands in them at the last archived offsets. When the brokers
// do not answer, the status stands without what they would say, beside the error.
func ReadStatus(ctx context.Context, o Options) (*Status, error) {
	client, failed := o.connect()
	if failed == nil {
		defer client.Close()
	}
	status := &Status{Topics: []TopicStatus{}}
	for _, topic := range o.Config.Topics() {
		v, err := readView(ctx, o.Archive, topic.Name)
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic.Name, err)
		}
		if failed == nil { // brokers that did not answer once are not asked for every topic
			if failed = v.ask(ctx, client); failed == nil {
				failed = v.askAge(ctx, client, time.Now().Add(-patience(o.Config.Archiver)))
			}
		}
		status.Topics = append(status.Topics, v.status())
	}
	return status, failed
}

// patience is how old a record may be that is not archived yet: commits are an interval apart, and take their time.
func patience(c config.Archiver) time.Duration {
	return 2 * max(c.FlushInterval, c.ControlCommitInterval)
}

func (s *Status) write(w io.Writer) error {
	rows := [][]string{{"TOPIC", "PARTITION", "STATE", "ARCHIVED", "LOG START", "LOG END", "LAG"}}
	var notes []string
	for _, t := range s.Topics {
		if t.UUID == "" {
			notes = append(notes, fmt.Sprintf("%s: nothing is archived yet", t.Topic))
		}
		if t.Halt != nil {
			notes = append(notes, t.trouble().note())
		}
		for _, p := range t.Partitions {
			rows = append(rows, []string{
				t.Topic, strconv.Itoa(int(p.Partition)), p.State, offsetText(p.Archived), offsetText(p.Start), offsetText(p.End), offsetText(p.Lag),
			})
			if trouble := p.trouble(t.Topic); trouble.what != "" {
				notes = append(notes, trouble.note())
			}
		}
	}
	if len(rows) > 1 {
		if err := service.Table(w, rows); err != nil {
			return err
		}
	}
	for _, note := range notes {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}

func offsetText(offset *int64) string {
	if offset == nil {
		return "-"
	}
	return strconv.FormatInt(*offset, 10)
}
