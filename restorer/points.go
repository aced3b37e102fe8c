package restorer

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// PointView is a restore point as it is printed.
type PointView struct {
	Name       string          `json:"name"`
	Earliest   time.Time       `json:"earliest"`
	Latest     time.Time       `json:"latest"`
	CompleteTo time.Time       `json:"complete_to"`
	Claim      string          `json:"claim"`
	Exact      bool            `json:"exact"`
	Cuts       []schemas.Cut   `json:"cuts"`
	Offsets    schemas.Offsets `json:"offsets"`
}

func viewPoint(p *archive.Point) PointView {
	return PointView{
		Name: p.Name, Earliest: p.Earliest, Latest: p.Latest, CompleteTo: p.CompleteTo,
		Claim: p.Claim.String(), Exact: p.Claim.Exact(), Cuts: p.Cuts, Offsets: p.Offsets,
	}
}

// ListedPoint is a restore point in the list of all.
type ListedPoint struct {
	PointView
	Settled bool `json:"settled"` // false: a mark of its time may be archived yet, and change its name
}

// Timeline is what `points` prints.
type Timeline struct {
	Container       string        `json:"container"`
	Topic           string        `json:"topic"`
	Declared        string        `json:"declared"`         // how documents are deleted; every exact claim stands on it
	RestorableUntil *time.Time    `json:"restorable_until"` // the newest exact point's CompleteTo; null: no point is exact
	Total           int           `json:"total"`
	Points          []ListedPoint `json:"points"`  // the newest ones, oldest first
	Pending         []string      `json:"pending"` // why there is no later point yet, or none at all
}

// viewTimeline shows the newest last points, 0 is all, and what a later one waits for.
func viewTimeline(name, topic string, rules archive.Rules, t *archive.Timeline, pending []string, last int) *Timeline {
	view := &Timeline{
		Container: name, Topic: topic, Declared: rules.String(), Total: t.Len(),
		Points: []ListedPoint{}, Pending: pending,
	}
	if newest, ok := t.NewestExact(); ok {
		view.RestorableUntil = &newest.CompleteTo
	}
	skip := 0
	if last > 0 {
		skip = view.Total - last
	}
	for p := range t.All() {
		if skip--; skip < 0 {
			view.Points = append(view.Points, ListedPoint{viewPoint(&p), t.Settled(&p)})
		}
	}
	return view
}

func (t *Timeline) write(w io.Writer) error {
	until := "nothing can be restored: there is no exact point"
	if t.RestorableUntil != nil {
		until = timeText(*t.RestorableUntil)
	}
	shown := plural(int64(t.Total), "restore point", "restore points")
	if t.Total > len(t.Points) {
		shown += fmt.Sprintf("; the newest %s are shown, --last 0 shows all", grouped(int64(len(t.Points))))
	}
	err := facts(w, [][2]string{
		{"container", t.Container}, {"topic", t.Topic}, {"declared", t.Declared}, {"restorable until", until}, {"timeline", shown},
	}...)
	if err != nil {
		return err
	}
	if len(t.Points) > 0 {
		rows := [][]string{{"POINT", "EARLIEST", "LATEST", "COMPLETE TO", "CLAIM"}}
		for i := range t.Points {
			p := &t.Points[i]
			claim := p.Claim
			if !p.Settled {
				claim += ", may still move"
			}
			rows = append(rows, []string{p.Name, timeText(p.Earliest), timeText(p.Latest), timeText(p.CompleteTo), claim})
		}
		if err := tableBelow(w, rows); err != nil {
			return err
		}
	}
	if len(t.Pending) == 0 {
		return nil
	}
	_, err = fmt.Fprintf(w, "\n%s\n", pendingText(t.Total, t.Pending))
	return err
}

// pendingText says why there is no later point than these.
func pendingText(points int, pending []string) string {
	reason := "why there is no later point yet"
	if points == 0 {
		reason = "there is no restore point"
	}
	return reason + ":\n  " + strings.Join(pending, "\n  ")
}
