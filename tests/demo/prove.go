package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// prove holds archive and restored containers, as files and over HTTP, against what this process wrote and against the
// emulator's ledger. The product has no part in it: an oracle judges that shares no code with it.
func (s *story) prove(ctx context.Context, d *damage, c *comeback) error {
	report := new(oracle.Report)
	ledger, err := oracle.ReadLedger(s.stack.Ledger)
	if err != nil {
		return err
	}
	for _, b := range []*back{c.products, c.orders} {
		history := ledger.ByName(b.source.Name())
		point := &b.plan.Point.Point
		point.Container, point.Incarnation = b.source.Name(), history.RID
		lineages, err := s.proveArchive(ctx, b.source, ledger, point, report)
		if err != nil {
			return err
		}
		want, err := history.Content(point, lineages, s.library.Gone)
		if err != nil {
			return err
		}
		got, err := s.read(ctx, b, d.example.id)
		if err != nil {
			return err
		}
		oracle.CheckContent(b.target.Name(), got, want, d.began, report)
		if b == c.products {
			compareContent(d.content, got, report)
		}
		b.later = between(history, point, d.began)
	}
	if report.Total() > 0 {
		return fmt.Errorf("what came back is not what was there:\n%s", report)
	}
	s.note(time.Now(), "%s", s.out.paint(green, "proven"))
	s.out.say(proving, "archive   %s on the topics, as many rows: %s", count(s.records, "record", "records"),
		s.out.paint(green, "none lost, none twice"))
	s.out.say(proving, "restored  %s, read over HTTP, %s what\n          the ledger of all writes says; products also what this process remembers",
		count(c.products.run.Documents+c.orders.run.Documents, "document", "documents"), s.out.paint(green, "are byte for byte"))
	return nil
}

// proveArchive judges a topic's table: every offset is one row (INV-3), every change stands in the ledger with its
// bytes (INV-6), marks and the point keep what they promise (INV-1, INV-5).
func (s *story) proveArchive(ctx context.Context, c harness.Container, ledger oracle.Ledger, p *oracle.Point, report *oracle.Report) (oracle.Lineages, error) {
	ends, err := s.stack.Ends(ctx, c.TopicName())
	if err != nil {
		return nil, err
	}
	archive, err := oracle.ReadArchive(s.stack.Archive, c.TopicName(), report)
	if err != nil {
		return nil, err
	}
	s.records += int64(len(archive.Rows))
	archive.CheckOffsets(ends, report)
	archive.CheckRows(ledger, map[string]string{c.Name(): c.Kind()}, report)
	lineages := archive.CheckMarks(ledger, report)
	archive.CheckPoint(p, report)
	return lineages, nil
}

// compareContent demands the very documents that the shop remembers.
func compareContent(want, got map[oracle.Doc]string, report *oracle.Report) {
	for at, sha := range want {
		if got[at] != sha {
			report.Add("shop", "document %s %s has SHA-256 %q, the shop wrote %q", at.PK, at.ID, got[at], sha)
		}
	}
	if len(got) != len(want) {
		report.Add("shop", "%d documents are there, the shop had %d", len(got), len(want))
	}
}

// read reads a restored container over HTTP: the digest of the user's bytes of every document.
func (s *story) read(ctx context.Context, b *back, example string) (map[oracle.Doc]string, error) {
	got := map[oracle.Doc]string{}
	err := s.stack.Account.Each(ctx, b.target, func(delivered []byte) error {
		body, err := oracle.User(delivered)
		if err != nil {
			return err
		}
		at, err := oracle.Identify(body, b.target.Key)
		if err != nil {
			return err
		}
		if at.ID == example {
			b.example = body
		}
		got[at] = oracle.Digest(body)
		return nil
	})
	return got, err
}

// between counts the writes that are later than the point and not later than the moment.
func between(history *oracle.History, p *oracle.Point, moment time.Time) (n int64) {
	for _, cut := range p.Cuts {
		for _, e := range history.Range(cut.Range).Lines {
			if e.LSN > cut.LSN && !e.Time.After(moment) {
				n++
			}
		}
	}
	return n
}
