package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// tally counts what was written to a container. It may be read while it grows.
type tally struct{ created, edited, deleted, bytes atomic.Int64 }

func (t *tally) writes() int64 { return t.created.Load() + t.edited.Load() + t.deleted.Load() }

// desk writes documents into one container and remembers them. Goroutines may share it.
type desk struct {
	in      harness.Container
	account *harness.Account
	library *harness.Library
	tally   tally
}

// put writes the document's next version. The document is that version only once the service has acknowledged it.
func (k *desk) put(ctx context.Context, verb harness.Verb, d *document, body []byte) error {
	k.library.Keep(body)
	if err := k.account.Write(ctx, verb, k.in, d.key, body); err != nil {
		return fmt.Errorf("write %s %s: %w", d.kind, d.id, err)
	}
	d.body = body
	k.tally.bytes.Add(int64(len(body)))
	return nil
}

func (k *desk) create(ctx context.Context, d *document) error {
	if err := k.put(ctx, harness.Create, d, d.body); err != nil {
		return err
	}
	k.tally.created.Add(1)
	return nil
}

func (k *desk) edit(ctx context.Context, d *document, body []byte) error {
	if err := k.put(ctx, harness.Upsert, d, body); err != nil {
		return err
	}
	k.tally.edited.Add(1)
	return nil
}

func (k *desk) remove(ctx context.Context, d *document, body []byte) error {
	if err := k.put(ctx, harness.Upsert, d, body); err != nil {
		return err
	}
	d.gone = true
	k.tally.deleted.Add(1)
	return nil
}

// catalog is the shop's products and reviews. One goroutine at a time works on it.
type catalog struct {
	desk
	random    *rand.Rand
	documents []*document
}

func productsContainer() harness.Container {
	return harness.Container{
		Database: "shop", ID: "products", Key: []string{"/categoryName"}, Ranges: 5, Deletes: "soft",
		Definition: `"indexingPolicy":{"indexingMode":"consistent","includedPaths":[{"path":"/*"}],"excludedPaths":[{"path":"/description/?"}]}`,
	}
}

// load writes the documents of the file.
func (c *catalog) load(ctx context.Context) (err error) {
	if c.documents, err = samples(); err != nil {
		return err
	}
	return each(ctx, c.documents, c.create)
}

// work is one act of business: mostly an edit, sometimes a new review or product, sometimes a soft deletion.
func (c *catalog) work(ctx context.Context) error {
	d := c.documents[c.random.IntN(len(c.documents))]
	for d.gone {
		d = c.documents[c.random.IntN(len(c.documents))]
	}
	switch dice := c.random.IntN(100); {
	case dice < 22:
		return c.add(ctx, c.newReview(d))
	case dice < 25 && d.kind == product:
		return c.add(ctx, c.newProduct(d))
	case dice < 40 && d.kind == review:
		return c.remove(ctx, d, softDeleted(d.body))
	case d.kind == review:
		return c.edit(ctx, d, withNumber(d.body, "stars", strconv.Itoa(1+c.random.IntN(5))))
	case dice < 70:
		price := priceOf(d.body) * (0.8 + 0.4*c.random.Float64())
		return c.edit(ctx, d, withNumber(d.body, "currentPrice", strconv.FormatFloat(price, 'f', 2, 64)))
	default:
		return c.edit(ctx, d, withNumber(d.body, "inventory", strconv.Itoa(c.random.IntN(400))))
	}
}

func (c *catalog) add(ctx context.Context, d *document) error {
	if err := c.create(ctx, d); err != nil {
		return err
	}
	c.documents = append(c.documents, d)
	return nil
}

func (c *catalog) newReview(of *document) *document {
	id := c.newID()
	category := of.key[1 : len(of.key)-1]
	people := []string{"Ada", "Edsger", "Grace", "Zoë", "Łukasz", "Nguyễn", "桜", "Barbara"}
	words := []string{"Does what it says.", "Came with a scratch \u2014 still fine.", "Kept \"as new\" for years.", "Too loud 🙉", "Würde ich wieder kaufen."}
	return &document{key: of.key, id: id, kind: review, body: fmt.Appendf(nil, `{
    "id": %q,
    "docType": "review",
    "productId": %q,
    "categoryName": %s,
    "customerName": "%s",
    "reviewDate": "2026-11-%02dT%02d:00:00",
    "stars": %d,
    "reviewText": %s
  }`, id, of.id, category, people[c.random.IntN(len(people))], 1+c.random.IntN(30), c.random.IntN(24), 1+c.random.IntN(5),
		quoted(words[c.random.IntN(len(words))]))}
}

func (c *catalog) newProduct(like *document) *document {
	id := c.newID()
	category := like.key[1 : len(like.key)-1]
	return &document{key: like.key, id: id, kind: product, body: fmt.Appendf(nil, `{
    "id": %q,
    "docType": "product",
    "productId": %q,
    "name": "Almanac Edition %d",
    "categoryName": %s,
    "inventory": %d,
    "currentPrice": %d.%d0,
    "serial": 9007199254740993%03d
  }`, id, id, 1+c.random.IntN(900), category, c.random.IntN(400), 10+c.random.IntN(2000), c.random.IntN(10), c.random.IntN(1000))}
}

func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(out)
}

func (c *catalog) newID() string {
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", c.random.Uint32(), c.random.IntN(1<<16), c.random.IntN(1<<12),
		0x8000|c.random.IntN(1<<14), c.random.Uint64N(1<<48))
}

// each does something with many documents, several at once.
func each(ctx context.Context, documents []*document, do func(context.Context, *document) error) error {
	const writers = 8
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
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
	group.Wait()
	return context.Cause(ctx)
}

// paced does something again and again, so many times or until the context ends, once in an interval as near as may be.
func paced(ctx context.Context, times int, interval time.Duration, do func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for range times {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
