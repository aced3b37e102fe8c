package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// beforeBytes is what stood there when the deployment began.
func (d *document) beforeBytes() []byte {
	if d.before != nil {
		return d.before
	}
	return d.bytes
}

// damage chooses what the bad deployment touches: every product's price, and all documents of some categories.
func (s *shop) damage(r *rand.Rand) []*document {
	s.nonsense = []string{"0", "0.00", "-1", "-99.99"}[r.IntN(4)]
	var keys []string
	for _, d := range s.goods {
		d.before = d.bytes
		if !slices.Contains(keys, d.key) {
			keys = append(keys, d.key)
		}
	}
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	s.hated = keys[:2+r.IntN(3)]
	var out []*document
	for _, d := range s.goods {
		if !d.gone && (d.kind == "product" || slices.Contains(s.hated, d.key)) {
			out = append(out, d)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// ruin does to one document what the deployment does.
func (s *shop) ruin(ctx context.Context, d *document) error {
	text := d.bytes
	if d.kind == "product" {
		text = withPrice(text, s.nonsense)
		s.overwritten.Add(1)
	}
	if slices.Contains(s.hated, d.key) {
		text = softDeleted(text)
		s.wiped.Add(1)
	}
	if err := s.write(ctx, harness.Upsert, d, text); err != nil {
		return fmt.Errorf("ruin: %w", err)
	}
	return nil
}

// example is a product that the deployment overwrote.
func (s *shop) example() *document {
	for _, d := range s.goods {
		if d.kind == "product" && slices.Contains(s.hated, d.key) && d.before != nil && string(d.before) != string(d.bytes) {
			return d
		}
	}
	return s.goods[0]
}
