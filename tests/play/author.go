package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// author writes documents of its own into a container until it is told to stop.
type author struct {
	name      string
	account   *harness.Account
	container harness.Container
	library   *harness.Library
	random    *rand.Rand
	keys      []key
	pace      time.Duration
	most      int // documents

	documents []document // bodies are not kept here
	acts      map[string]int
	refused   int
}

// write writes until ctx ends.
func (a *author) write(ctx context.Context) error {
	ticker := time.NewTicker(a.pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// A write that was begun is finished: what became of it must be known.
		if err := a.act(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("author %s: %w", a.name, err)
		}
	}
}

// act does one write. A refusal is no error: a failover may have undone what the author remembers.
func (a *author) act(ctx context.Context) error {
	act, do := a.choose()
	err := do(ctx)
	var status *harness.StatusError
	if errors.As(err, &status) {
		switch status.Status {
		case http.StatusNotFound, http.StatusConflict, http.StatusFailedDependency:
			a.refused++
			return nil
		}
	}
	if a.acts == nil {
		a.acts = map[string]int{}
	}
	a.acts[act]++
	return err
}

func (a *author) choose() (string, func(context.Context) error) {
	if len(a.documents) < 20 {
		return "create", a.create
	}
	switch n := a.random.IntN(100); {
	case n < 20 && len(a.documents) < a.most:
		return "create", a.create
	case n < 45:
		return "upsert", a.upsert
	case n < 65:
		return "replace", a.replace
	case n < 77:
		return "soft-delete", a.softDelete
	case n < 98:
		return "batch", a.batch
	default:
		return "large", a.large
	}
}

func (a *author) create(ctx context.Context) error {
	d := a.newDocument()
	d.body = a.body(d, "false")
	return a.put(ctx, harness.Create, d)
}

func (a *author) upsert(ctx context.Context) error {
	d := a.known()
	d.body = a.body(d, "false")
	return a.put(ctx, harness.Upsert, d)
}

func (a *author) replace(ctx context.Context) error {
	d := a.known()
	d.body = a.body(d, "false")
	a.library.Keep(d.body)
	return a.account.Replace(ctx, a.container, d.key.array, d.id, d.body)
}

func (a *author) softDelete(ctx context.Context) error {
	d := a.known()
	d.body = a.body(d, " true ")
	return a.put(ctx, harness.Upsert, d)
}

func (a *author) large(ctx context.Context) error {
	d := document{id: a.name + "-large", key: a.keys[len(a.name)%len(a.keys)]}
	text := strings.Repeat(fmt.Sprintf("%x ", a.random.Uint64()), (600_000+a.random.IntN(1_000_000))/17)
	d.body = fmt.Appendf(nil, `{%s"id":%s,"deleted":false,"text":"%s"}`, d.key.members, quote(d.id), text)
	return a.put(ctx, harness.Upsert, d)
}

func (a *author) put(ctx context.Context, verb harness.Verb, d document) error {
	a.library.Keep(d.body)
	return a.account.Write(ctx, verb, a.container, d.key.array, d.body)
}

// batch writes several documents of one key in one transaction, one of them twice, and one that is gone at its end.
func (a *author) batch(ctx context.Context) error {
	one := a.known()
	var same []document
	for _, d := range a.documents {
		if d.key == one.key && d.id != one.id {
			same = append(same, d)
		}
	}
	a.random.Shuffle(len(same), func(i, j int) { same[i], same[j] = same[j], same[i] })
	operations := []harness.Operation{}
	add := func(verb string, d document, deleted string) {
		d.body = a.plain(d, deleted)
		a.library.Keep(d.body)
		operations = append(operations, harness.Operation{Type: verb, Body: d.body})
		if verb == "Replace" {
			operations[len(operations)-1].ID = d.id
		}
	}
	add("Upsert", one, "true")
	for _, d := range same[:min(len(same), a.random.IntN(6))] {
		add([]string{"Upsert", "Replace"}[a.random.IntN(2)], d, []string{"true", "false"}[a.random.IntN(2)])
	}
	if len(a.documents) < a.most {
		d := a.newDocument()
		a.documents[len(a.documents)-1].key, d.key = one.key, one.key
		add("Create", d, "false")
	}
	if a.random.IntN(3) == 0 {
		passing := document{id: fmt.Sprintf("%s-passing-%d", a.name, a.random.IntN(1e9)), key: one.key}
		add("Create", passing, "false")
		operations = append(operations, harness.Operation{Type: "Delete", ID: passing.id})
	}
	add("Replace", one, "false")
	return a.account.Batch(ctx, a.container, one.key.array, operations)
}

func (a *author) newDocument() document {
	n := len(a.documents)
	id := fmt.Sprintf("%s-%d", a.name, n)
	if n%7 == 3 {
		id += "-é😀 %"
	}
	d := document{id: id, key: a.keys[a.random.IntN(len(a.keys))]}
	a.documents = append(a.documents, d)
	return d
}

func (a *author) known() document {
	// Most writes go to few documents.
	n := len(a.documents)
	if a.random.IntN(3) > 0 {
		n = min(n, 40)
	}
	return a.documents[a.random.IntN(n)]
}

// body is a document in some form that JSON allows.
func (a *author) body(d document, deleted string) []byte {
	number := []string{"1.0", "9007199254740993123", "1e400", "-0", "12.50", "1E2"}[a.random.IntN(6)]
	blank := []string{"", " ", "\n"}[a.random.IntN(3)]
	return fmt.Appendf(nil, `{%s%s"id":%s,"deleted":%s,"n":%s,"n":%d,"text":"%s"%s}`,
		d.key.members, blank, quote(d.id), deleted, number, a.random.Int64(), a.text(), blank)
}

// plain is a document whose bytes json.Marshal keeps.
func (a *author) plain(d document, deleted string) []byte {
	return fmt.Appendf(nil, `{%s"id":%s,"deleted":%s,"batch":%d,"v":1.0}`, d.key.members, quote(d.id), deleted, a.random.Int64())
}

func (a *author) text() string {
	unit := []string{`word `, `\u00e9`, `é😀`, `\n\"`, `<&>`}[a.random.IntN(5)]
	n := a.random.IntN(40)
	if a.random.IntN(50) == 0 {
		n *= 500
	}
	return strings.Repeat(unit, n)
}

func quote(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // of a string
	}
	return string(out)
}

// tally adds up what authors did, for the log.
func tally(authors []*author) string {
	sum, refused := map[string]int{}, 0
	for _, a := range authors {
		for act, n := range a.acts {
			sum[act] += n
		}
		refused += a.refused
	}
	var parts []string
	for act, n := range sum {
		parts = append(parts, fmt.Sprintf("%d %s", n, act))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ") + fmt.Sprintf(", %d refused", refused)
}
