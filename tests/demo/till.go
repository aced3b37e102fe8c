package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// till takes orders, in a container with a hierarchical key. It never stops: what it writes while others wait shows
// whether a moment is a moment. One goroutine works on it.
type till struct {
	desk
	random    *rand.Rand
	documents []*document
	taken     int
}

func ordersContainer() harness.Container {
	return harness.Container{Database: "shop", ID: "orders", Key: []string{"/tenant", "/customer"}, Ranges: 6, Deletes: "soft"}
}

// work is one act: a new order with its invoice in one transaction, a step of an order, a cancelled one.
func (t *till) work(ctx context.Context) error {
	dice := t.random.IntN(100)
	if dice < 40 || len(t.documents) == 0 {
		return t.take(ctx)
	}
	d := t.documents[t.random.IntN(len(t.documents))]
	if d.gone {
		return t.take(ctx)
	}
	if dice < 47 {
		return t.remove(ctx, d, softDeleted(d.body))
	}
	return t.edit(ctx, d, t.step(d.body))
}

func (t *till) step(body []byte) []byte {
	words := []string{"paid", "packed", "shipped", "delivered", "returned"}
	return regexp.MustCompile(`"status":"[a-z]+"`).ReplaceAll(body, fmt.Appendf(nil, `"status":%q`, words[t.random.IntN(len(words))]))
}

// take writes an order and its invoice in one transaction: both take one LSN.
func (t *till) take(ctx context.Context) error {
	t.taken++
	tenant := []string{"eu", "us", "jp", "br"}[t.random.IntN(4)]
	customer := fmt.Sprintf("c-%03d", t.random.IntN(120))
	total := fmt.Sprintf("%d.%d0", 5+t.random.IntN(3000), t.random.IntN(10))
	pair := []*document{
		{key: keyOf(tenant, customer), id: fmt.Sprintf("o-%06d", t.taken), kind: order},
		{key: keyOf(tenant, customer), id: fmt.Sprintf("i-%06d", t.taken), kind: invoice},
	}
	var operations []harness.Operation
	for _, d := range pair {
		d.body = fmt.Appendf(nil, `{"id":%q,"tenant":%q,"customer":%q,"kind":%q,"status":"placed","total":%s,"number":9007199254%06d}`,
			d.id, tenant, customer, d.kind, total, t.taken)
		t.library.Keep(d.body)
		operations = append(operations, harness.Operation{Type: "Create", Body: json.RawMessage(d.body)})
	}
	if err := t.account.Batch(ctx, t.in, pair[0].key, operations); err != nil {
		return fmt.Errorf("take order %d: %w", t.taken, err)
	}
	for _, d := range pair {
		t.tally.created.Add(1)
		t.tally.bytes.Add(int64(len(d.body)))
		t.documents = append(t.documents, d)
	}
	return nil
}
