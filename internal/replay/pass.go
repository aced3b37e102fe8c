package replay

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
)

// fanLimit bounds the sources of one merge, and with them the open files.
const fanLimit = 256

// passes merges sources into runs until those that are left fit into memory together.
type passes struct {
	memory    int64
	fan       int // default fanLimit
	spill     *spill
	container string
	keep      bool // every row, not one per order (History)
}

// reduce takes the smallest sources first, so that little is written twice. It answers sources that fit, and leaves them
// as they are when they fit already.
func (p *passes) reduce(ctx context.Context, sources []source) ([]source, error) {
	fan := p.fan
	if fan < 2 {
		fan = fanLimit
	}
	slices.SortStableFunc(sources, bySize)
	for {
		total := int64(0)
		for _, s := range sources {
			total += s.cost
		}
		if len(sources) < 2 || total <= p.memory && len(sources) <= fan {
			return sources, nil
		}
		n, cost := 0, int64(runCost)
		for n < len(sources) && n < fan && (n < 2 || cost+sources[n].cost <= p.memory) {
			cost += sources[n].cost
			n++
		}
		run, err := p.merge(ctx, sources[:n])
		if err != nil {
			return nil, err
		}
		sources = slices.Delete(sources, 0, n)
		at, _ := slices.BinarySearchFunc(sources, run, bySize)
		sources = slices.Insert(sources, at, run)
		if len(sources) == 1 {
			return sources, nil
		}
	}
}

func bySize(a, b source) int { return cmp.Compare(a.size, b.size) }

// merge writes one run. Of every document it keeps one entry per order, because two runs may contradict each other in any
// of them, but only the greatest with its document.
func (p *passes) merge(ctx context.Context, sources []source) (source, error) {
	m, err := openMerge(ctx, sources)
	if err != nil {
		return source{}, err
	}
	defer m.close()
	file, err := p.spill.create()
	if err != nil {
		return source{}, err
	}
	w := newRunWriter(file)
	d := documents{merge: m, container: p.container}
	for err == nil {
		if p.keep {
			err = writeAll(m, w)
		} else {
			err = d.next(func(h *held, last bool) error { return w.write(&h.entry, h.stripped || !last) })
		}
		if err == nil {
			err = ctx.Err()
		}
	}
	if !errors.Is(err, io.EOF) {
		w.abandon()
		return source{}, err
	}
	return w.close()
}

func writeAll(m *merge, w *runWriter) error {
	e := m.peek()
	if e == nil {
		return io.EOF
	}
	if err := w.write(e, e.stripped); err != nil {
		return err
	}
	return m.advance()
}
