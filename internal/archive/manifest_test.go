package archive

import (
	"errors"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/schemas"
)

func testPoint() Point {
	p := Point{
		Container: shop, Incarnation: "a==", Latest: epoch, Earliest: epoch, CompleteTo: epoch,
		Cuts: []schemas.Cut{
			{Range: schemas.FeedRange{Min: "", Max: "1F"}, Generation: 7, LSN: 10},
			{Range: schemas.FeedRange{Min: "1F", Max: "FF"}, Generation: 8, LSN: 20},
		},
		Offsets: schemas.Offsets{0: 100, 1: 200}, Definition: []byte(`{"id": "p" }`), Claim: Claim{Declared: "deletes: none"},
	}
	p.Name = p.nameOf()
	return p
}

func TestUsable(t *testing.T) {
	topic := schemas.NewUUID()
	cases := []struct {
		name   string
		change func(m *Manifest)
		usable bool
	}{
		{"the point itself", func(*Manifest) {}, true},
		{"below in every range", func(m *Manifest) { m.Point.Cuts[0].LSN, m.Point.Cuts[1].LSN = 9, 1 }, true},
		{"below in every topic partition", func(m *Manifest) { m.Point.Offsets = schemas.Offsets{0: 5, 2: -1} }, true},
		{"before a split", func(m *Manifest) {
			m.Point.Cuts = []schemas.Cut{
				{Range: schemas.FeedRange{Min: "", Max: "1F"}, Generation: 7, LSN: 9},
				{Range: schemas.FeedRange{Min: "1F", Max: "2A"}, Generation: 8, LSN: 9},
				{Range: schemas.FeedRange{Min: "2A", Max: "FF"}, Generation: 8, LSN: 20},
			}
		}, true},
		{"above in a range", func(m *Manifest) { m.Point.Cuts[1].LSN = 21 }, false},
		{"above in a topic partition", func(m *Manifest) { m.Point.Offsets[1] = 201 }, false},
		{"a topic partition that the point does not name", func(m *Manifest) { m.Point.Offsets[2] = 0 }, false},
		{"an older generation", func(m *Manifest) { m.Point.Cuts[0].Generation = 6 }, false},
		{"a newer generation", func(m *Manifest) { m.Point.Cuts[0].Generation = 9 }, false},
		{"another topic", func(m *Manifest) { m.Topic = schemas.NewUUID() }, false},
		{"another incarnation", func(m *Manifest) { m.Point.Incarnation = "b==" }, false},
		{"other rules", func(m *Manifest) { m.Rules = softRules(t) }, false},
		{"not exact", func(m *Manifest) { m.Point.Claim.Taints = []string{"lost"} }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, point, rules := &Manifest{Topic: topic, Point: testPoint(), Rules: Rules{Deletes: DeletesNone}}, testPoint(), Rules{Deletes: DeletesNone}
			c.change(m)
			if err := m.Usable(topic, &point, &rules); (err == nil) != c.usable || err != nil && !errors.Is(err, ErrNoBase) {
				t.Errorf("got %v want usable %v", err, c.usable)
			}
		})
	}
}

func TestManifestIsWrittenOnce(t *testing.T) {
	root := mem.New()
	first := &Manifest{
		Format: schemas.FormatVersion, Topic: schemas.NewUUID(), Point: testPoint(), Rules: softRules(t), Rows: 1, Bytes: 2,
		Files: []StateFile{{Path: "a.parquet", Size: 2, Rows: 1, Stats: []byte(`{"numRecords":1}`)}}, LeftOut: schemas.Offsets{0: 101},
	}
	second := *first
	second.Files = []StateFile{{Path: "b.parquet"}}
	for _, m := range []*Manifest{first, &second} {
		got, err := PutManifest(t.Context(), root, "topic", m)
		if err != nil || got.Files[0].Path != "a.parquet" || string(got.Point.Definition) != `{"id": "p" }` || !got.Rules.Equal(&first.Rules) {
			t.Fatalf("got %+v, %v want the first", got, err)
		}
	}
	other := testPoint()
	other.Cuts[0].LSN++
	other.Name = other.nameOf()
	if _, err := ReadManifest(t.Context(), root, "topic", &other); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v want %v", err, blob.ErrNotFound)
	}
	moved := *first
	moved.Point.Cuts = other.Cuts // a vector that is not the name's
	if _, err := PutManifest(t.Context(), mem.New(), "topic", &moved); err == nil {
		t.Error("got a manifest whose name is not its vector's want an error")
	}
}
