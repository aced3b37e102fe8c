package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
)

// damage is what the deployment did, and what it found.
type damage struct {
	lastGood time.Time // the last good write was acknowledged
	covered  time.Time // the archive was seen to hold it
	began    time.Time // no bad write is earlier
	ended    time.Time
	took     time.Duration

	content   map[oracle.Doc]string // what it found, less what was deleted softly: digests
	bytes     int64                 // of that
	withdrawn int64                 // documents that the shop had deleted softly before

	prices, spam int64 // products and reviews that it spoiled
	heads        heads // all of the damage is at or below them
	example      *document
	was          []byte // the example before
}

func (d *damage) documents() int64 { return d.prices + d.spam }

// deploy waits until what is there can be restored, and ruins it.
func (s *story) deploy(ctx context.Context) (*damage, error) {
	d := &damage{lastGood: time.Now()}
	t := &s.catalog.tally
	s.note(d.lastGood, "the last good write to products")
	s.out.say(deploying, "products close for a deployment after %s edits, %s new, %s withdrawn",
		grouped(t.edited.Load()), grouped(t.created.Load()-s.loaded.documents), grouped(t.deleted.Load()))
	good, err := s.heads(s.catalog.in)
	if err != nil {
		return nil, err
	}
	_, err = s.awaitPoint(ctx, deploying, "a restore point that holds all of it", s.catalog.in, func(p *point) string {
		if why := good.covers(p); why != "" {
			return why
		}
		if !p.Latest.Before(time.Now()) { // the service's clock counts whole seconds
			return "the point is there, the second in which it ends is not over"
		}
		return ""
	})
	if err != nil {
		return nil, err
	}
	d.covered = time.Now()
	s.out.say(deploying, "the last good write is restorable after %s", seconds(d.covered.Sub(d.lastGood)))
	if err := s.catalog.remember(d); err != nil {
		return nil, err
	}
	if err := s.ruin(ctx, d); err != nil {
		return nil, err
	}
	if d.heads, err = s.heads(s.catalog.in); err != nil {
		return nil, err
	}
	_, err = s.awaitPoint(ctx, deploying, "a restore point that holds the damage", s.catalog.in, d.heads.covers)
	if err != nil {
		return nil, err
	}
	s.out.say(deploying, "the archive holds the damage too, %s after it", seconds(time.Since(d.ended)))
	return d, nil
}

// remember keeps what the deployment finds.
func (c *catalog) remember(d *damage) error {
	d.content = map[oracle.Doc]string{}
	for _, doc := range c.documents {
		if doc.gone {
			d.withdrawn++
			continue
		}
		at, err := oracle.Identify(doc.body, c.in.Key)
		if err != nil {
			return err
		}
		d.content[at] = oracle.Digest(doc.body)
		d.bytes += int64(len(doc.body))
	}
	return nil
}

// ruin is the bad deployment: it takes the prices of all products for cents, and a part of the reviews for spam.
func (s *story) ruin(ctx context.Context, d *damage) error {
	plot := s.dice(4)
	suspicion := 20 + plot.IntN(40)
	var victims []*document
	spoiled := map[*document][]byte{}
	for _, doc := range s.catalog.documents {
		if doc.gone || doc.kind == review && plot.IntN(100) >= suspicion {
			continue
		}
		body, err := botched(doc)
		if err != nil {
			return err
		}
		spoiled[doc] = body
		victims = append(victims, doc)
		if doc.kind == review {
			d.spam++
			continue
		}
		d.prices++
		if d.example == nil || plot.IntN(int(d.prices)) == 0 {
			d.example, d.was = doc, doc.body
		}
	}
	if d.prices == 0 || d.spam == 0 {
		return errors.New("the deployment finds nothing to ruin")
	}
	d.began = time.Now()
	s.note(d.began, "%s", s.out.paint(red, "the deployment begins"))
	s.out.say(deploying, "%s: it spoils all prices and takes reviews for spam", s.out.paint(red, "a bad deployment at "+clock(d.began)))
	err := each(ctx, victims, func(ctx context.Context, doc *document) error {
		if doc.kind == review {
			return s.catalog.remove(ctx, doc, spoiled[doc])
		}
		return s.catalog.edit(ctx, doc, spoiled[doc])
	})
	d.ended = time.Now()
	d.took = d.ended.Sub(d.began)
	s.note(d.ended, "%s", s.out.paint(red, fmt.Sprintf("the deployment ends: %s are ruined", count(d.documents(), "document", "documents"))))
	s.out.say(deploying, "%s overwritten, %s soft-deleted in %s, of %s", count(d.prices, "price", "prices"),
		count(d.spam, "review", "reviews"), seconds(d.took), count(int64(len(d.content)), "document", "documents"))
	return err
}
