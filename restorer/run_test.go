package restorer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/sleep"
	"github.com/cosmos-almanac/almanac/schemas"
)

// account is a twin of a Cosmos DB account with one database and one range a container.
type account struct {
	mu         sync.Mutex
	containers map[string]*cosmos.Container
	documents  map[string][]string // `key id body` by container
	create     func(item cosmos.Item) (cosmos.Written, error)
	inFlight   int
	most       int // in flight at once
	pages      int // answers of "not found" before a new container shows
}

func newAccount() *account {
	return &account{containers: map[string]*cosmos.Container{}, documents: map[string][]string{}}
}

func (a *account) ReadContainer(_ context.Context, database, name string) (*cosmos.Container, error) {
	if c := a.containers[name]; c != nil && database == "shop" {
		if a.pages--; a.pages < 0 {
			return c, nil
		}
	}
	e := &cosmos.StatusError{Op: "read container", Status: http.StatusNotFound}
	if database != "shop" {
		e.Substatus = 1003
	}
	return nil, e
}

func (a *account) FeedRanges(context.Context, string, string) ([]schemas.FeedRange, error) {
	return []schemas.FeedRange{schemas.WholeRange()}, nil
}

func (a *account) ReadChanges(_ context.Context, o cosmos.ReadOptions) (*cosmos.Page, error) {
	docs := a.documents[o.Container.Name]
	page := &cosmos.Page{Token: "end", Positioned: true, Position: schemas.LSN(len(docs)), Session: cosmos.Session{Newest: schemas.LSN(len(docs))}}
	if o.Token == "end" {
		page.NotModified = true
		return page, nil
	}
	for _, d := range docs {
		page.Items = append(page.Items, []byte(strings.SplitN(d, " ", 3)[2]))
	}
	return page, nil
}

func (a *account) CreateContainer(_ context.Context, _ string, definition []byte) error {
	var d struct{ ID string }
	if err := json.Unmarshal(definition, &d); err != nil {
		return err
	}
	if a.containers[d.ID] != nil {
		return cosmos.ErrExists
	}
	key, err := schemas.ParseKeyDefinition(definition)
	a.containers[d.ID] = &cosmos.Container{Database: "shop", Name: d.ID, RID: "rid", Resource: definition, Key: key}
	return err
}

func (a *account) CreateItem(ctx context.Context, c cosmos.ContainerRef, item cosmos.Item) (cosmos.Written, error) {
	a.mu.Lock()
	a.inFlight++
	a.most = max(a.most, a.inFlight)
	a.mu.Unlock()
	if err := sleep.For(ctx, time.Second); err != nil {
		return cosmos.Written{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inFlight--
	if a.create != nil {
		if w, err := a.create(item); err != nil {
			return w, err
		}
	}
	a.documents[c.Container] = append(a.documents[c.Container], fmt.Sprintf("%s %s %s", item.Key, item.ID, item.Body))
	return cosmos.Written{Charge: 5, Throttled: 1}, nil
}

const definition = `{"id":"copy","partitionKey":{"paths":["/k"],"kind":"Hash","version":2}}`

func planned() *Plan {
	return &Plan{
		Container: "shop.products", Point: PointView{Name: "P"},
		Target: TargetPlan{Name: Name{"shop", "copy"}, Definition: []byte(definition)},
	}
}

func documentsOf(n int) []string {
	var docs []string
	for i := range n {
		docs = append(docs, fmt.Sprintf(`["a"] %03d {"id":"%03d","k":"a"}`, i, i))
	}
	return docs
}

func (a *account) execution(t *testing.T, docs []string, out *strings.Builder) *execution {
	return &execution{
		reader: a, writer: a, wait: sleep.For, memory: 1 << 20, spill: t.TempDir(), concurrency: 4, progress: progress{out, time.Second},
		content: func(context.Context) (documents, error) { return &list{docs: docs}, nil },
	}
}

// Writes are side by side up to the limit, progress is a line a second, and the report adds up.
func TestRunFillsTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		a.pages = 3
		var told strings.Builder
		r, err := a.execution(t, documentsOf(40), &told).run(t.Context(), planned())
		if err != nil {
			t.Fatal(err)
		}
		want := Report{
			Container: "shop.products", Point: "P", Target: "shop.copy", Documents: 40, Written: 40,
			Bytes: 40 * 20, Seconds: 10.6, RequestUnits: 200, Throttled: 40,
		}
		want.PerSecond = 40 / want.Seconds
		if fmt.Sprint(*r) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", *r, want)
		}
		if a.most != 4 || len(a.documents["copy"]) != 40 {
			t.Errorf("got %d documents, %d at once, want 40 and 4", len(a.documents["copy"]), a.most)
		}
		if lines := strings.Count(told.String(), "\n"); lines < 9 || lines > 11 || !strings.Contains(told.String(), " RU, throttled ") {
			t.Errorf("got progress\n%s", told.String())
		}
	})
}

// The first failure ends the run, and is what it says; the same run goes on later.
func TestRunFailsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		broken := errors.New("the network is down")
		a.create = func(item cosmos.Item) (cosmos.Written, error) {
			if string(item.ID) == "009" {
				return cosmos.Written{}, broken
			}
			return cosmos.Written{}, nil
		}
		var told strings.Builder
		if _, err := a.execution(t, documentsOf(40), &told).run(t.Context(), planned()); !errors.Is(err, broken) || errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want %v alone", err, broken)
		}
		if n := len(a.documents["copy"]); n < 8 || n > 12 {
			t.Errorf("got %d documents after a failure at the 10th, want about as many", n)
		}
		a.create = nil
		r, err := a.execution(t, documentsOf(40), &told).run(t.Context(), planned())
		if err != nil || r.Documents != 40 || r.AlreadyThere == 0 || len(a.documents["copy"]) != 40 {
			t.Errorf("got %+v, %v and %d documents, want all 40, some of them there already", r, err, len(a.documents["copy"]))
		}
	})
}

func TestRunRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*account, *Plan, *execution)
		want    string
		exit    int
	}{
		{"a stranger's document", func(a *account, _ *Plan, _ *execution) {
			a.documents["copy"] = []string{`["a"] x {"id":"x","k":"a"}`}
		}, `not empty: 1 documents in it are not those of point P, such as ["a"] "x" (extra)`, 2},
		{"other bytes", func(a *account, _ *Plan, _ *execution) {
			a.documents["copy"] = []string{`["a"] 001 {"id":"001","k":"a" }`}
		}, `["a"] "001" (different)`, 2},
		{"another key", func(a *account, p *Plan, _ *execution) {
			p.Target.Definition = []byte(strings.Replace(definition, "/k", "/other", 1))
		}, "another partitionKey", 2},
		{"no database", func(_ *account, p *Plan, _ *execution) {
			p.Target.Name.Database = "none"
		}, "database none does not exist", 2},
		{"content that cannot be opened", func(_ *account, _ *Plan, x *execution) {
			x.content = func(context.Context) (documents, error) { return nil, errors.New("no archive") }
		}, "no archive", 0},
		{"content that ends in the middle", func(_ *account, _ *Plan, x *execution) {
			x.content = func(context.Context) (documents, error) {
				return &list{docs: documentsOf(3), fail: errors.New("torn file")}, nil
			}
		}, "torn file", 0},
		{"a container that never shows", func(a *account, _ *Plan, _ *execution) { a.pages = 1 << 30 }, "cannot be read", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, plan := newAccount(), planned()
				if err := a.CreateContainer(t.Context(), "shop", []byte(definition)); err != nil {
					t.Fatal(err)
				}
				x := a.execution(t, documentsOf(5), &strings.Builder{})
				test.prepare(a, plan, x)
				there := len(a.documents["copy"])
				_, err := x.run(t.Context(), plan)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error that says %s", err, test.want)
				}
				var coded interface{ ExitCode() int }
				if errors.As(err, &coded) != (test.exit != 0) || test.exit != 0 && coded.ExitCode() != test.exit {
					t.Errorf("got %v, want exit code %d", err, test.exit)
				}
				if test.exit == 2 && len(a.documents["copy"]) != there {
					t.Errorf("got %d documents written by a refused run", len(a.documents["copy"])-there)
				}
			})
		})
	}
}
