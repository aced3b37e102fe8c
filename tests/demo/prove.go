package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// prove compares the restored container, read over HTTP, with what the emulator's ledger says the shop held. The
// oracle shares no code with the product.
func (d *demo) prove(ctx context.Context) error {
	report := &oracle.Report{}
	ledger, err := oracle.ReadLedger(d.stack.Ledger)
	if err != nil {
		return err
	}
	archive, err := oracle.ReadArchive(d.stack.Archive, products().TopicName(), report)
	if err != nil {
		return err
	}
	archive.CheckRows(ledger, map[string]string{products().Name(): products().Kind()}, report)
	lineages := archive.CheckMarks(ledger, report)
	point, err := d.point(ctx, ledger)
	if err != nil {
		return err
	}
	archive.CheckPoint(point, report)
	want, err := ledger.ByName(products().Name()).Content(point, lineages, d.library.Gone)
	if err != nil {
		return err
	}
	restored := harness.Container{Database: "shop", ID: "products-restored", Key: products().Key}
	got := map[oracle.Doc]string{}
	err = d.stack.Account.Each(ctx, restored, func(text []byte) error {
		doc, err := oracle.Identify(text, restored.Key)
		if err != nil {
			return err
		}
		user, err := oracle.User(text)
		got[doc] = oracle.Digest(user)
		return err
	})
	if err != nil {
		return err
	}
	oracle.CheckContent(target, got, want, d.shop.moment, report)
	back := d.compareWithMemory(got, report)
	if report.Total() > 0 {
		return fmt.Errorf("prove the restore: it is not what the ledger says\n%s", report)
	}
	d.out.say("PROOF", "an oracle that shares no code with Almanac folded the ledger of all writes at the point's cuts:")
	d.out.say("PROOF", "%s %s in %s, byte for byte; %s came back from the damage", d.out.paint(bold+";"+green, "equal"),
		count(len(got), "document", "documents"), target, count(back, "document", "documents"))
	return d.query()
}

// compareWithMemory checks that what stood there when the deployment began is all there again, and counts what the
// deployment had touched.
func (d *demo) compareWithMemory(got map[oracle.Doc]string, report *oracle.Report) (back int) {
	for _, doc := range d.shop.goods {
		sha := d.library.Keep(doc.beforeBytes())
		place := oracle.Doc{PK: doc.key, ID: doc.id}
		switch {
		case d.library.Gone(sha):
			if got[place] != "" {
				report.Add("memory", "%s %s was deleted before the deployment and is there", doc.kind, doc.id)
			}
		case got[place] != sha:
			report.Add("memory", "%s %s is not what it was before the deployment", doc.kind, doc.id)
		case string(doc.before) != string(doc.bytes):
			back++
		}
	}
	return back
}

func (d *demo) point(ctx context.Context, ledger oracle.Ledger) (*oracle.Point, error) {
	timeline, err := d.stack.Points(ctx, products().Name(), 0)
	if err != nil {
		return nil, err
	}
	for _, text := range timeline.Points {
		p := &oracle.Point{Container: products().Name(), Incarnation: ledger.ByName(products().Name()).RID}
		if err := json.Unmarshal(text, p); err != nil {
			return nil, fmt.Errorf("read point: %w", err)
		}
		if p.Name == d.shop.point {
			return p, nil
		}
	}
	return nil, fmt.Errorf("find point %s: it is not listed", d.shop.point)
}
