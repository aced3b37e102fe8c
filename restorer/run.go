package restorer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/service"
)

// Report is what a run did.
type Report struct {
	Container     string   `json:"container"`
	Point         string   `json:"point"`
	Target        string   `json:"target"`
	Documents     int64    `json:"documents"`     // of the point: all of them stand in the target now
	Written       int64    `json:"written"`       // by this run
	AlreadyThere  int64    `json:"already_there"` // byte for byte, from an earlier attempt
	Bytes         int64    `json:"bytes"`         // of the documents, the user's own
	Seconds       float64  `json:"seconds"`
	PerSecond     float64  `json:"documents_per_second"`
	RequestUnits  float64  `json:"request_units"`
	Throttled     int64    `json:"throttled"`                // attempts that the service answered 429 or 449
	OtherSettings []string `json:"other_settings,omitempty"` // of a target that was there: settings unlike those of then
}

func (r *Report) write(w io.Writer) error {
	documents := plural(r.Documents, "document", "documents") + ", " + sized(r.Bytes)
	if r.AlreadyThere > 0 {
		documents += fmt.Sprintf("; %s of them were there already", grouped(r.AlreadyThere))
	}
	lines := [][2]string{
		{"restored", r.Point},
		{"into", r.Target},
		{"documents", documents},
		{"took", fmt.Sprintf("%.1f s, %s documents/s", r.Seconds, grouped(int64(r.PerSecond)))},
		{"cost", fmt.Sprintf("%s RU, throttled %s", grouped(int64(r.RequestUnits)), plural(r.Throttled, "time", "times"))},
	}
	if len(r.OtherSettings) > 0 {
		lines = append(lines, [2]string{"settings", "the container was there, and is not as it was then in: " + strings.Join(r.OtherSettings, ", ")})
	}
	return facts(w, append(lines, [2]string{"prove it", fmt.Sprintf("almanac-restorer verify --container %s --at %s --to %s", service.Word(r.Container), r.Point, service.Word(r.Target))})...)
}

// content opens a pass over a point's documents. A run may need two.
type content func(ctx context.Context) (documents, error)

// execution fills the target of one plan.
type execution struct {
	reader      Reader
	writer      Writer
	wait        func(ctx context.Context, d time.Duration) error
	content     content
	memory      int64 // of the survey and of what is in flight
	spill       string
	concurrency int
	progress    progress

	counts counts
}

// counts are read while a run goes on.
type counts struct {
	written, there, bytes, throttled atomic.Int64

	mu     sync.Mutex
	charge float64
}

func (c *counts) add(w cosmos.Written, size int) {
	if w.Existed {
		c.there.Add(1)
	} else {
		c.written.Add(1)
	}
	c.bytes.Add(int64(size))
	c.throttled.Add(int64(w.Throttled))
	c.mu.Lock()
	c.charge += w.Charge
	c.mu.Unlock()
}

func (c *counts) units() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.charge
}

// listed is how many documents an error names.
const listed = 5

// run makes the target and fills it. It writes nothing when the target holds a document that it would not write itself.
func (x *execution) run(ctx context.Context, plan *Plan) (report *Report, err error) {
	started := time.Now()
	target, other, state, err := x.prepare(ctx, plan)
	if err != nil {
		return nil, err
	}
	there := newSurvey(x.memory/2, x.spill)
	defer func() { err = errors.Join(err, there.close()) }()
	if state != TargetAbsent {
		if err := (&surveyor{reader: x.reader, wait: x.wait, progress: x.progress}).survey(ctx, target, there); err != nil {
			return nil, err
		}
	}
	if there.count.Load() > 0 {
		if err := x.refuseStrangers(ctx, plan, there); err != nil {
			return nil, err
		}
	}
	if err := x.fill(ctx, cosmos.ContainerRef{Database: target.Database, Container: target.Name, RID: target.RID}, there); err != nil {
		return nil, err
	}
	seconds := time.Since(started).Seconds()
	r := &Report{
		Container: plan.Container, Point: plan.Point.Name, Target: plan.Target.Name.String(), Written: x.counts.written.Load(), AlreadyThere: x.counts.there.Load(),
		Bytes: x.counts.bytes.Load(), Seconds: seconds, RequestUnits: x.counts.units(), Throttled: x.counts.throttled.Load(), OtherSettings: other,
	}
	r.Documents = r.Written + r.AlreadyThere
	r.PerSecond = float64(r.Written) / seconds
	return r, nil
}

// prepare finds the target or makes it, and refuses one that would not be what the plan makes. The state is TargetAbsent
// when it was certainly made here.
func (x *execution) prepare(ctx context.Context, plan *Plan) (target *cosmos.Container, other []string, state TargetState, err error) {
	name := plan.Target.Name
	for range lagPatience {
		target, err := findTarget(ctx, x.reader, name)
		if err != nil {
			return nil, nil, "", err
		}
		if target != nil {
			other, err := checkDefinition(plan.Target.Definition, target)
			return target, other, state, err
		}
		if state != "" { // it was made, but is not known everywhere yet
			if err := x.wait(ctx, readWait); err != nil {
				return nil, nil, "", err
			}
			continue
		}
		state = TargetAbsent
		err = x.writer.CreateContainer(ctx, name.Database, plan.Target.Definition)
		var refused *cosmos.StatusError
		switch {
		case errors.Is(err, cosmos.ErrExists):
			state = TargetNotEmpty // what stands there counts: an attempt of ours whose answer was lost, or somebody's
		case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
			return nil, nil, "", missingDatabase(name)
		case err != nil:
			return nil, nil, "", err
		}
	}
	return nil, nil, "", fmt.Errorf("create target %s: it was made, but cannot be read; run the same command again", name)
}

// checkDefinition refuses a container that treats documents differently, and tells what else is not as planned.
func checkDefinition(definition []byte, target *cosmos.Container) (other []string, err error) {
	fatal, other, err := definitionDifferences(definition, target.Resource)
	if err != nil {
		return nil, err
	}
	if len(fatal) > 0 {
		return nil, usage("target %s exists with another %s than the container had then; give another name by --to",
			target, strings.Join(fatal, ", "))
	}
	return other, nil
}

// refuseStrangers lets only documents stand in the target that the run would write (INV-7).
func (x *execution) refuseStrangers(ctx context.Context, plan *Plan, there *survey) error {
	c, err := compareSurvey(ctx, x.content, there, listing{listed, []Kind{Extra, Different}}, x.progress)
	if err != nil {
		return err
	}
	if c.Extra+c.Different == 0 {
		return nil
	}
	var names []string
	for _, d := range c.Differences {
		names = append(names, fmt.Sprintf("%s %q (%s)", d.Key, d.ID, d.Kind))
	}
	return usage("target %s is not empty: %d documents in it are not those of point %s, such as %s; nothing was written; give another name by --to",
		plan.Target.Name, c.Extra+c.Different, plan.Point.Name, strings.Join(names, ", "))
}

func compareSurvey(ctx context.Context, content content, there *survey, list listing, progress progress) (*Comparison, error) {
	docs, err := content(ctx)
	if err != nil {
		return nil, err
	}
	have, err := there.sorted()
	if err != nil {
		return nil, errors.Join(err, docs.close())
	}
	done := counted{inner: docs}
	stop := progress.tell(func(time.Duration) string {
		return fmt.Sprintf("compared %s of the point", plural(done.n.Load(), "document", "documents"))
	})
	c, err := compare(ctx, &done, have, list)
	stop()
	return c, errors.Join(err, docs.close())
}

// leastInFlight is the room for documents that wait for the service when memory is short: a few of the largest.
const leastInFlight = 8 << 20

// fill writes what is not there yet.
func (x *execution) fill(ctx context.Context, target cosmos.ContainerRef, there *survey) error {
	docs, err := x.content(ctx)
	if err != nil {
		return err
	}
	have, err := there.sorted()
	if err != nil {
		return errors.Join(err, docs.close())
	}
	defer x.progress.tell(x.counts.line)()
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(x.concurrency)
	room := semaphore.NewWeighted(max(x.memory/2, leastInFlight)) // bytes (INV-9)
	err = pairs(working, docs, have, func(doc *document, standing *entry) error {
		switch {
		case doc == nil:
			return fmt.Errorf("document %s %q stands in target %s alone", standing.key, standing.id, target)
		case standing != nil: // refuseStrangers has compared it
			x.counts.add(cosmos.Written{Existed: true}, len(doc.body))
			return nil
		}
		size := min(int64(len(doc.body)), leastInFlight)
		if err := room.Acquire(working, size); err != nil {
			return err
		}
		item := cosmos.Item{Key: bytes.Clone(doc.key), ID: bytes.Clone(doc.id), Body: bytes.Clone(doc.body)}
		group.Go(func() error {
			defer room.Release(size)
			written, err := x.writer.CreateItem(working, target, item)
			if err == nil {
				x.counts.add(written, len(item.Body))
			}
			return err
		})
		return nil
	})
	if failed := group.Wait(); failed != nil { // and what it cancelled does not matter
		err = failed
	}
	return errors.Join(err, docs.close())
}

func (c *counts) line(elapsed time.Duration) string {
	written, there := c.written.Load(), c.there.Load()
	text := fmt.Sprintf("restored %s documents, %s, %s/s, %s RU", grouped(written+there), sized(c.bytes.Load()),
		grouped(int64(float64(written)/elapsed.Seconds())), grouped(int64(c.units())))
	if there > 0 {
		text += fmt.Sprintf(", %s were there", grouped(there))
	}
	if n := c.throttled.Load(); n > 0 {
		text += fmt.Sprintf(", throttled %s times", grouped(n))
	}
	return text
}
