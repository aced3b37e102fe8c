package replay

import (
	"errors"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/archive/archivetest"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/schemas"
)

// plant is a topic with rows of one's own and one mark over them all.
type plant struct {
	*archivetest.Topic
	offsets schemas.Offsets
}

func newPlant(t *testing.T, root blob.Store) *plant {
	t.Helper()
	top, err := archivetest.NewTopic(t.Context(), root, topic)
	must(t, err)
	return &plant{Topic: top, offsets: schemas.Offsets{}}
}

func (p *plant) row(id string, generation schemas.Generation, lsn schemas.LSN, etag, document string) {
	p.rowOf("05", id, generation, lsn, etag, document)
}

func (p *plant) rowOf(epk, id string, generation schemas.Generation, lsn schemas.LSN, etag, document string) {
	row := archive.Row{
		PartitionKey: []byte(`["a"]`), ID: []byte(id), Op: schemas.OpUpserted, Generation: generation, Order: schemas.Order{LSN: lsn},
		EPK: []byte(epk), Incarnation: []byte("inc=="), ETag: []byte(etag),
	}
	if document != "" {
		row.Document = []byte(document)
	} else {
		row.Op = schemas.OpDeleted
	}
	p.offsets[0] = p.Publish(0, shop, row)
}

func (p *plant) point(generation schemas.Generation, lsn schemas.LSN) archive.Point {
	offsets := schemas.Offsets{}
	for partition, offset := range p.offsets {
		offsets[partition] = offset
	}
	return archive.Point{
		Name: "planted", Container: shop, Incarnation: "inc==", Offsets: offsets,
		Cuts: []schemas.Cut{{Range: schemas.WholeRange(), Generation: generation, LSN: lsn}},
	}
}

func TestMembership(t *testing.T) {
	const none = ""
	cases := []struct {
		name  string
		plant func(p *plant)
		want  string
	}{
		{"greatest order wins, not the greatest offset", func(p *plant) { p.row("x", 7, 5, "b", `{"v":2}`); p.row("x", 7, 3, "a", `{"v":1}`) }, `{"v":2}`},
		{"after the cut", func(p *plant) { p.row("x", 7, 3, "a", `{"v":1}`); p.row("x", 7, 11, "b", `{"v":2}`) }, `{"v":1}`},
		{"at the cut", func(p *plant) { p.row("x", 7, 3, "a", `{"v":1}`); p.row("x", 7, 10, "b", `{"v":2}`) }, `{"v":2}`},
		{"an older generation", func(p *plant) { p.row("x", 6, 9, "a", `{"v":1}`) }, none},
		{"a newer generation", func(p *plant) { p.row("x", 7, 3, "a", `{"v":1}`); p.row("x", 8, 4, "b", `{"v":2}`) }, `{"v":1}`},
		{"a deletion", func(p *plant) { p.row("x", 7, 3, "a", `{"v":1}`); p.row("x", 7, 4, "b", none) }, none},
		{"deleted, and then not", func(p *plant) { p.row("x", 7, 4, "b", none); p.row("x", 7, 5, "c", `{"v":3}`) }, `{"v":3}`},
		{"softly deleted", func(p *plant) { p.row("x", 7, 3, "a", `{"v":1}`); p.row("x", 7, 4, "b", `{"deleted": true }`) }, none},
		{"something like it", func(p *plant) { p.row("x", 7, 4, "b", `{"deleted":"true"}`) }, `{"deleted":"true"}`},
		{"read twice", func(p *plant) { p.row("x", 7, 3, "a", `{"v":1}`); p.row("x", 7, 3, "a", `{"v":1}`) }, `{"v":1}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPlant(t, mem.New())
			c.plant(p)
			must(t, p.Flush(t.Context()))
			want := archivetest.Truth{}
			if c.want != none {
				want[archive.Key{PartitionKey: `["a"]`, ID: "x"}] = c.want
			}
			got, _ := content(t, p.options(t, p.point(7, 10)))
			compare(t, c.name, got, want)
		})
	}
}

func (p *plant) options(t *testing.T, point archive.Point) Options {
	t.Helper()
	changes, err := p.Changes(t.Context())
	must(t, err)
	rules, err := archivetest.SoftRules()
	must(t, err)
	return Options{Changes: changes, Point: point, Rules: rules}
}

func TestOffsetsBound(t *testing.T) {
	p := newPlant(t, mem.New())
	p.row("x", 7, 3, "a", `{"v":1}`)
	point := p.point(7, 10)
	p.row("x", 7, 4, "b", `{"v":2}`) // within the cut, but published after the point's offsets
	must(t, p.Flush(t.Context()))
	got, _ := content(t, p.options(t, point))
	compare(t, "above the offsets", got, archivetest.Truth{{PartitionKey: `["a"]`, ID: "x"}: `{"v":1}`})
	other := point
	other.Incarnation = "other=="
	got, _ = content(t, p.options(t, other))
	compare(t, "other incarnation", got, archivetest.Truth{})
}

func TestContradictionHalts(t *testing.T) {
	cases := []struct {
		name  string
		plant func(t *testing.T, p *plant)
	}{
		{"in one file", func(t *testing.T, p *plant) { p.row("x", 7, 3, "a", `{"v":1}`); p.row("x", 7, 3, "b", `{"v":2}`) }},
		{"in two files", func(t *testing.T, p *plant) {
			p.row("x", 7, 3, "a", `{"v":1}`)
			must(t, p.Flush(t.Context()))
			p.row("x", 7, 3, "b", `{"v":2}`)
		}},
		{"below the winners of both files", func(t *testing.T, p *plant) {
			p.row("x", 7, 3, "a", `{"v":1}`)
			p.row("x", 7, 5, "c", `{"v":3}`)
			must(t, p.Flush(t.Context()))
			p.row("x", 7, 3, "b", `{"v":2}`)
			p.row("x", 7, 6, "d", `{"v":4}`)
			must(t, p.Flush(t.Context()))
			p.row("y", 7, 1, "y", `{}`)
			must(t, p.Flush(t.Context()))
			p.row("z", 7, 2, "z", `{}`)
		}},
	}
	for _, c := range cases {
		for _, fan := range []int{0, 2} {
			t.Run(c.name, func(t *testing.T) {
				p := newPlant(t, mem.New())
				c.plant(t, p)
				must(t, p.Flush(t.Context()))
				opts := p.options(t, p.point(7, 10))
				opts.fan = fan
				_, _, err := contentOf(t, opts)
				var halt *schemas.Halt
				if !errors.As(err, &halt) || halt.Unit != "container "+shop {
					t.Fatalf("got %v want a halt of the container", err)
				}
			})
		}
	}
}

// TestOutsideTheKeySpace: a row of no range must not end every fold for good when it is none of the point's.
func TestOutsideTheKeySpace(t *testing.T) {
	for _, c := range []struct {
		name       string
		generation schemas.Generation
		lsn        schemas.LSN
		halts      bool
	}{{"another generation", 6, 3, false}, {"after the cut", 7, 11, false}, {"a member by generation and LSN", 7, 3, true}} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlant(t, mem.New())
			p.row("x", 7, 3, "a", `{"v":1}`)
			p.rowOf("FF00", "y", c.generation, c.lsn, "b", `{"v":2}`)
			must(t, p.Flush(t.Context()))
			opts := p.options(t, p.point(7, 10))
			if !c.halts {
				got, _ := content(t, opts)
				compare(t, c.name, got, archivetest.Truth{{PartitionKey: `["a"]`, ID: "x"}: `{"v":1}`})
				return
			}
			_, _, err := contentOf(t, opts)
			var halt *schemas.Halt
			if !errors.As(err, &halt) || !strings.Contains(halt.Evidence, `"FF00"`) {
				t.Errorf("got %v want a halt with the key", err)
			}
		})
	}
}

func TestBaseContradicts(t *testing.T) {
	for _, c := range []struct {
		name string
		lsn  schemas.LSN // of a row that comes after the base
		etag string
		want func(error) bool
	}{
		{"a repeat", 3, "a", func(err error) bool { return err == nil }},
		{"a repeat of something older", 2, "z", func(err error) bool { return err == nil }},
		{"the same order, another etag", 3, "b", func(err error) bool { return errors.As(err, new(*schemas.Halt)) }},
		{"a row that the base should hold", 4, "c", func(err error) bool { return errors.Is(err, ErrBase) }},
		{"a later row", 6, "d", func(err error) bool { return err == nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlant(t, mem.New())
			p.row("x", 7, 3, "a", `{"v":1}`)
			must(t, p.Flush(t.Context()))
			opts := p.options(t, p.point(7, 5))
			s := &story{changes: opts.Changes, rules: opts.Rules}
			base := s.snapshot(t, opts.Point, nil)
			p.row("x", 7, c.lsn, c.etag, `{"v":2}`)
			must(t, p.Flush(t.Context()))
			opts = p.options(t, p.point(7, 10))
			opts.Base = base
			if _, _, err := contentOf(t, opts); !c.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestLateRepeatOfDeleted is the schedule that forbids to take a base's increment by offsets alone: the base keeps no
// trace of a document that was deleted, and a zombie's late repeat of an older version stands above its offsets.
func TestLateRepeatOfDeleted(t *testing.T) {
	p := newPlant(t, mem.New())
	p.row("x", 7, 3, "a", `{"v":1}`)
	p.row("x", 7, 4, "b", `{"deleted":true}`)
	must(t, p.Flush(t.Context()))
	opts := p.options(t, p.point(7, 5))
	base := (&story{changes: opts.Changes, rules: opts.Rules}).snapshot(t, opts.Point, nil)
	p.row("x", 7, 3, "a", `{"v":1}`)
	must(t, p.Flush(t.Context()))
	opts = p.options(t, p.point(7, 6))
	got, _ := content(t, opts)
	compare(t, "rows alone", got, archivetest.Truth{})
	opts.Base = base
	got, _ = content(t, opts)
	compare(t, "base and rows", got, archivetest.Truth{})
}

// TestLeftOut is a file whose rows all lie within the base's offsets, one of them after its cut.
func TestLeftOut(t *testing.T) {
	p := newPlant(t, mem.New())
	p.row("x", 7, 3, "a", `{"v":1}`)
	p.row("y", 7, 8, "b", `{"v":2}`)
	must(t, p.Flush(t.Context()))
	opts := p.options(t, p.point(7, 5))
	base := (&story{changes: opts.Changes, rules: opts.Rules}).snapshot(t, opts.Point, nil)
	if got := base.LeftOut[0]; got != 1 {
		t.Errorf("got offset %d left out want 1", got)
	}
	p.row("z", 7, 9, "c", `{"v":3}`)
	must(t, p.Flush(t.Context()))
	opts = p.options(t, p.point(7, 10))
	opts.Base = base
	got, _ := content(t, opts)
	compare(t, "base and rows", got, archivetest.Truth{
		{PartitionKey: `["a"]`, ID: "x"}: `{"v":1}`, {PartitionKey: `["a"]`, ID: "y"}: `{"v":2}`, {PartitionKey: `["a"]`, ID: "z"}: `{"v":3}`,
	})
}
