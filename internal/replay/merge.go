package replay

import (
	"context"
	"fmt"
)

// merge is the k-way merge of sorted sources: a binary heap of their cursors.
type merge struct {
	cursors []cursor // all, to be closed
	heap    []head
}

type head struct {
	cursor cursor
	rank   int // by source, so that equal rows come in one order
}

func openMerge(ctx context.Context, sources []source) (*merge, error) {
	m := &merge{}
	for i, s := range sources {
		c, err := s.open(ctx)
		if err != nil {
			m.close()
			return nil, fmt.Errorf("open %s: %w", s.name, err)
		}
		m.cursors = append(m.cursors, c)
		more, err := c.next()
		if err != nil {
			m.close()
			return nil, err
		}
		if more {
			m.heap = append(m.heap, head{c, i})
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m, nil
}

// peek is the least entry; nil at the end. It is valid until advance.
func (m *merge) peek() *entry {
	if len(m.heap) == 0 {
		return nil
	}
	return m.heap[0].cursor.entry()
}

// advance moves past the least entry.
func (m *merge) advance() error {
	more, err := m.heap[0].cursor.next()
	if err != nil {
		return err
	}
	if !more {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	if len(m.heap) > 1 {
		m.sink(0)
	}
	return nil
}

func (m *merge) less(a, b head) bool {
	if c := a.cursor.entry().Compare(&b.cursor.entry().Row); c != 0 {
		return c < 0
	}
	return a.rank < b.rank
}

func (m *merge) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heap); child++ {
			if m.less(m.heap[child], m.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

func (m *merge) close() {
	for _, c := range m.cursors {
		c.close()
	}
	m.cursors, m.heap = nil, nil
}
