package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

//go:embed data/products-and-reviews.json
var sample []byte

// document is one of the shop's, as it stands in the container now.
type document struct {
	in     harness.Container
	key    string // partition key as a JSON array
	id     string
	kind   string // product, review, order
	gone   bool
	bytes  []byte
	before []byte // what stood there when the bad deployment began
}

// shop is the application whose data is at stake. Its writers work on it at once, each on documents of its own.
type shop struct {
	account *harness.Account
	library *harness.Library
	goods   []*document // products and reviews
	orders  []*document

	created, edited, deleted atomic.Int64

	moment   time.Time // just before the bad deployment
	nonsense string    // what it makes of prices
	hated    []string  // the partition keys whose documents it deletes
	point    string    // what was restored

	overwritten, wiped atomic.Int64
}

func (s *shop) writes() int64 { return s.created.Load() + s.edited.Load() + s.deleted.Load() }

// cutDocuments returns the exact bytes of every document of a JSON array, blanks inside included.
func cutDocuments(array []byte) ([][]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(array))
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("read sample documents: %w", err)
	}
	var out [][]byte
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, fmt.Errorf("read sample document %d: %w", len(out), err)
		}
		out = append(out, raw)
	}
	return out, nil
}

func readGoods() ([]*document, error) {
	texts, err := cutDocuments(sample)
	if err != nil {
		return nil, err
	}
	var goods []*document
	for _, text := range texts {
		var f struct{ ID, DocType, CategoryName string }
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, fmt.Errorf("read sample document %d: %w", len(goods), err)
		}
		goods = append(goods, &document{in: products(), key: keyOf(f.CategoryName), id: f.ID, kind: f.DocType, bytes: text})
	}
	return goods, nil
}

func keyOf(values ...string) string {
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return string(text)
}

// order makes one, for the container with a hierarchical key.
func order(r *rand.Rand, n int) *document {
	tenant := []string{"eu", "us", "jp", "br"}[r.IntN(4)]
	customer := fmt.Sprintf("c-%03d", r.IntN(150))
	id := fmt.Sprintf("o-%05d", n)
	text := fmt.Appendf(nil, `{"id":%q,"tenant":%q,"customer":%q,"status":"placed","total":%d.%02d,"items":%d}`,
		id, tenant, customer, 5+r.IntN(3000), r.IntN(100), 1+r.IntN(9))
	return &document{in: orders(), key: keyOf(tenant, customer), id: id, kind: "order", bytes: text}
}

// write puts the document's new bytes into the container.
func (s *shop) write(ctx context.Context, verb harness.Verb, d *document, text []byte) error {
	s.library.Keep(text)
	if err := s.account.Write(ctx, verb, d.in, d.key, text); err != nil {
		return fmt.Errorf("write %s %s: %w", d.kind, d.id, err)
	}
	d.bytes = text
	return nil
}

// each does something with many documents at once.
func each(ctx context.Context, documents []*document, do func(context.Context, *document) error) error {
	const writers = 8
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(documents) {
					return
				}
				if err := do(ctx, documents[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

var (
	price  = regexp.MustCompile(`"currentPrice":\s*(-?[0-9.]+)`)
	stars  = regexp.MustCompile(`("stars":\s*)[0-9]+`)
	status = regexp.MustCompile(`"status":"[a-z]+"`)
)

// edit changes one number or word in the document's text and leaves every other byte.
func edit(r *rand.Rand, d *document) []byte {
	switch d.kind {
	case "product":
		return withPrice(d.bytes, fmt.Sprintf("%d.%02d", 5+r.IntN(3000), r.IntN(100)))
	case "review":
		return stars.ReplaceAll(d.bytes, fmt.Appendf(nil, "${1}%d", 1+r.IntN(5)))
	default:
		word := []string{"paid", "packed", "shipped", "delivered", "returned"}[r.IntN(5)]
		return status.ReplaceAll(d.bytes, fmt.Appendf(nil, `"status":%q`, word))
	}
}

func withPrice(text []byte, value string) []byte {
	return price.ReplaceAll(text, []byte(`"currentPrice": `+value))
}

// softDeleted is the document with {"deleted": true} before its last brace.
func softDeleted(text []byte) []byte {
	at := bytes.LastIndexByte(text, '}')
	return append(append([]byte{}, bytes.TrimRight(text[:at], " \n")...), ",\n    \"deleted\": true\n  }"...)
}

// work is one act of business: mostly an edit, sometimes something new, sometimes a soft deletion.
func (s *shop) work(ctx context.Context, r *rand.Rand) error {
	switch dice := r.IntN(100); {
	case dice < 30:
		d := order(r, len(s.orders))
		s.orders = append(s.orders, d)
		s.created.Add(1)
		return s.write(ctx, harness.Create, d, d.bytes)
	case dice < 40:
		from := s.goods[r.IntN(len(s.goods))]
		d := *from
		d.id, d.kind, d.gone = fmt.Sprintf("r-%08x", r.Uint32()), "review", false
		d.bytes = fmt.Appendf(nil, "{\n    \"id\": %q,\n    \"docType\": \"review\",\n    \"categoryName\": %s,\n    \"stars\": %d\n  }",
			d.id, d.key[1:len(d.key)-1], 1+r.IntN(5))
		s.goods = append(s.goods, &d)
		s.created.Add(1)
		return s.write(ctx, harness.Create, &d, d.bytes)
	case dice < 45:
		d := s.goods[r.IntN(len(s.goods))]
		if d.gone || d.kind == "product" {
			return nil
		}
		d.gone = true
		s.deleted.Add(1)
		return s.write(ctx, harness.Upsert, d, softDeleted(d.bytes))
	case dice < 75:
		d := s.goods[r.IntN(len(s.goods))]
		if d.gone {
			return nil
		}
		s.edited.Add(1)
		return s.write(ctx, harness.Upsert, d, edit(r, d))
	default:
		d := s.orders[r.IntN(len(s.orders))]
		s.edited.Add(1)
		return s.write(ctx, harness.Upsert, d, edit(r, d))
	}
}
