package archive

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/schemas"
)

// TestTimeToLiveSinceItsOwnTime: a definition holds from its own _ts on, however late the producer reads it.
func TestTimeToLiveSinceItsOwnTime(t *testing.T) {
	at := func(second int) time.Time {
		return epoch.Truncate(time.Second).Add(time.Duration(second) * time.Second)
	}
	define := func(offset int64, read, changed int, ttl string) placed[definition] {
		return placed[definition]{0, offset, definition{"a", at(read), fmt.Sprintf(`{"id":"products"%s,"_ts":%d}`, ttl, at(changed).Unix())}}
	}
	const ttl = `,"defaultTtl":1`
	rebase := func(m *schemas.Mark) { m.Generation = schemas.Generation(at(90).UnixMilli()) }
	other := define(4, 110, 10, ttl)
	other.what.incarnation = "b"
	cases := []struct {
		name        string
		definitions []placed[definition]
		change      func(*schemas.Mark) // of the last mark
		exact       []bool              // of the points at 0, 9, 10, 60 and 120 s
	}{
		{"none", nil, nil, []bool{true, true, true, true, true}},
		{"read late", []placed[definition]{define(4, 110, 10, ttl)}, nil, []bool{true, true, false, false, false}},
		{"read after all points", []placed[definition]{define(50, 400, 10, ttl)}, nil, []bool{true, true, false, false, false}},
		{"set after all points", []placed[definition]{define(50, 400, 399, ttl)}, nil, []bool{true, true, true, true, true}},
		{"of another incarnation", []placed[definition]{other}, nil, []bool{true, true, true, true, true}},
		{"set and removed, one generation", []placed[definition]{define(1, 10, 10, ttl), define(4, 70, 20, "")}, nil, []bool{true, false, false, false, false}},
		{"removed before the generation", []placed[definition]{define(3, 50, 10, ttl), define(4, 110, 88, "")}, rebase, []bool{true, true, false, false, true}},
		{"removed in the second before it", []placed[definition]{define(3, 50, 10, ttl), define(4, 110, 89, "")}, rebase, []bool{true, true, false, false, true}},
		{"removed in its second", []placed[definition]{define(3, 50, 10, ttl), define(4, 110, 90, "")}, rebase, []bool{true, true, false, false, false}},
		{"another definition in the same second", []placed[definition]{define(3, 50, 10, ttl), define(4, 110, 10, "")}, nil, []bool{true, true, false, false, false}},
		{"an older one published later", []placed[definition]{define(3, 20, 20, ""), define(4, 110, 10, ttl)}, nil, []bool{true, true, false, false, false}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := simple(markAt(0, 5, 1, nil), markAt(9, 6, 2, nil), markAt(10, 7, 3, nil), markAt(60, 8, 4, nil), markAt(120, 9, 5, c.change))
			h.definitions[0].what.resource = fmt.Sprintf(`{"id":"products","_ts":%d}`, at(-100).Unix())
			h.definitions = append(h.definitions, c.definitions...)
			points := foldOf(t, h).Points()
			var got []bool
			for _, p := range points {
				got = append(got, p.Claim.Exact())
			}
			if !slices.Equal(got, c.exact) {
				t.Errorf("got %v want exact %v", namesOf(points), c.exact)
			}
		})
	}
}

// TestBaseIsJudgedAgain: a snapshot that was exact when it was taken is no base once the archive says otherwise.
func TestBaseIsJudgedAgain(t *testing.T) {
	root := mem.New()
	h := simple(markAt(60, 5, 1, nil), markAt(120, 6, 2, nil))
	before := foldOf(t, h)
	changes := &Changes{Topic: "shop", UUID: schemas.NewUUID(), root: root}
	old := before.Points()[0]
	m := &Manifest{Format: schemas.FormatVersion, Topic: changes.UUID, Point: old, Rules: softRules(t)}
	if _, err := PutManifest(t.Context(), root, changes.Topic, m); err != nil {
		t.Fatal(err)
	}
	h.definitions = append(h.definitions, placed[definition]{0, 50, definition{"a", epoch.Add(5 * time.Minute), fmt.Sprintf(`{"defaultTtl":1,"_ts":%d}`, epoch.Unix())}})
	for _, c := range []struct {
		name string
		line *Timeline
		want bool
	}{{"as it was taken", before, true}, {"a time to live is known since", foldOf(t, h), false}} {
		point := c.line.Points()[1]
		base, err := FindBaseAmong(t.Context(), changes, []string{old.Name}, c.line, &point)
		if err != nil || (base != nil) != c.want {
			t.Errorf("%s: got base %v, %v want one %v", c.name, base != nil, err, c.want)
		}
	}
}

// TestUnreadableControlRowsTaint: what the archiver took cannot be taken back, so it must not end every reading for good.
func TestUnreadableControlRowsTaint(t *testing.T) {
	mark := markAt(0, 5, 1, func(m *schemas.Mark) { m.Container = "shop.orders" }).what
	stranger, err := mark.Encode()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]Row{
		"time to live that is no number":  {Op: schemas.OpDefinition, Document: []byte(`{"defaultTtl":[1]}`)},
		"definition that is no JSON":      {Op: schemas.OpDefinition, Document: []byte(`{"id":`)},
		"definition that is no object":    {Op: schemas.OpDefinition, Document: []byte(`7`)},
		"definition that is null":         {Op: schemas.OpDefinition, Document: []byte(`null`)},
		"definition of no time":           {Op: schemas.OpDefinition, Document: []byte(`{"_ts":-1}`)},
		"unkeyed whose key names nothing": {Op: schemas.OpUnkeyed, PartitionKey: []byte("x"), Document: []byte(`{}`)},
		"mark that is no JSON":            {Op: schemas.OpMark, Document: []byte(`no`)},
		"mark of another container":       {Op: schemas.OpMark, Document: stranger},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			row.ID, row.Incarnation, row.Offset = []byte(shop), []byte("a"), 3
			if err := CheckControl(&row); err == nil {
				t.Error("got nothing that the archiver would quarantine it for")
			}
			h := simple(markAt(0, 5, 2, nil), markAt(10, 6, 4, nil))
			c := foldOf(t, h).control
			if err := c.Add(&row); err != nil {
				t.Fatalf("got %v want a loss", err)
			}
			points := Fold(c, softRules(t)).Points()
			if len(points) != 2 || !points[0].Claim.Exact() || !strings.Contains(points[1].Claim.String(), "offset 3 of topic partition 0 could not be decoded") {
				t.Errorf("got %s want the second of two points tainted", namesOf(points))
			}
			row.ID = []byte("shop.somebody")
			before := len(c.Losses)
			if err := c.Add(&row); err != nil || len(c.Losses) != before {
				t.Errorf("of another container: got %v, %d losses want %d", err, len(c.Losses), before)
			}
		})
	}
	if err := CheckControl(&Row{Op: schemas.OpDefinition, Document: []byte(`{}`)}); err == nil {
		t.Error("got a definition of no container taken")
	}
}
