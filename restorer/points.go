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

// Timeline is what `points` prints.
type Timeline struct {
	Container       string      `json:"container"`
	Topic           string      `json:"topic"`
	Declared        string      `json:"declared"` // how documents are deleted; every exact claim stands on it
	RestorableUntil *time.Time  `json:"restorable_until"`
	Total           int         `json:"total"`
	Points          []PointView `json:"points"`  // the newest ones, oldest first
	Pending         []string    `json:"pending"` // why the newest marks make no point yet, or why there is none
}

// viewTimeline shows the newest last points; 0 is all.
func viewTimeline(name, topic string, rules archive.Rules, t *archive.Timeline, last int) *Timeline {
	view := &Timeline{
		Container: name, Topic: topic, Declared: rules.String(), Total: t.Len(),
		Points: []PointView{}, Pending: append([]string{}, t.Pending()...),
	}
	if newest, ok := t.Newest(); ok {
		view.RestorableUntil = &newest.CompleteTo
	}
	skip := 0
	if last > 0 {
		skip = view.Total - last
	}
	for p := range t.All() {
		if skip--; skip < 0 {
			view.Points = append(view.Points, viewPoint(&p))
		}
	}
	return view
}

func (t *Timeline) write(w io.Writer) error {
	heading := [][2]string{{"container", t.Container}, {"topic", t.Topic}, {"declared", t.Declared}}
	if t.RestorableUntil != nil {
		heading = append(heading, [2]string{"restorable until", timeText(*t.RestorableUntil)})
	}
	shown := plural(int64(t.Total), "restore point", "restore points")
	if t.Total > len(t.Points) {
		shown += fmt.Sprintf("; the newest %s are shown, --last 0 shows all", grouped(int64(len(t.Points))))
	}
	if err := facts(w, append(heading, [2]string{"timeline", shown})...); err != nil {
		return err
	}
	if len(t.Points) > 0 {
		rows := [][]string{{"", "", "", "", ""}, {"POINT", "EARLIEST", "LATEST", "COMPLETE TO", "CLAIM"}}
		for i := range t.Points {
			p := &t.Points[i]
			rows = append(rows, []string{p.Name, timeText(p.Earliest), timeText(p.Latest), timeText(p.CompleteTo), p.Claim})
		}
		if err := table(w, rows); err != nil {
			return err
		}
	}
	if len(t.Pending) == 0 {
		return nil
	}
	reason := "the newest marks make no point yet"
	if t.Total == 0 {
		reason = "there is no restore point"
	}
	_, err := fmt.Fprintf(w, "\n%s:\n  %s\n", reason, strings.Join(t.Pending, "\n  "))
	return err
}
