package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// planned is what `plan` prints.
type planned struct {
	Point  point `json:"point"`
	Source struct {
		Snapshot  string `json:"snapshot"`
		Documents int64  `json:"documents"`
	} `json:"source"`
}

// restored is what `run` prints.
type restored struct {
	Documents int64   `json:"documents"`
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
	Units     float64 `json:"request_units"`
}

// verified is what `verify` prints.
type verified struct {
	Documents int64 `json:"documents"`
	Equal     int64 `json:"equal"`
	Missing   int64 `json:"missing"`
	Extra     int64 `json:"extra"`
	Different int64 `json:"different"`
}

// back is what came back of one container.
type back struct {
	source   harness.Container
	target   harness.Container
	plan     planned
	run      restored
	took     time.Duration // of the whole program
	later    int64         // writes between the point and the moment that was asked for
	example  []byte        // the example document as it came back
	verified time.Duration
}

// comeback is both containers.
type comeback struct{ products, orders *back }

// Exit codes of the programs.
const (
	exitDone      = 0
	exitDifferent = 4
)

// restore brings both containers back to the moment before the deployment, and proves that they are right.
func (s *story) restore(ctx context.Context, d *damage) (*comeback, error) {
	moment := stamp(d.began)
	s.note(d.began, "the moment that is asked for: --before %s", moment)
	if err := s.listPoints(ctx, d); err != nil {
		return nil, err
	}
	if err := s.compareDamaged(ctx, d, moment); err != nil {
		return nil, err
	}
	products, err := s.bring(ctx, s.catalog.in, moment)
	if err != nil {
		return nil, err
	}
	orders, err := s.bring(ctx, s.till.in, moment)
	if err != nil {
		return nil, err
	}
	return &comeback{products, orders}, s.verify(ctx, products, moment)
}

// listPoints looks for the moment before the deployment, as somebody does who only knows when it was.
func (s *story) listPoints(ctx context.Context, d *damage) error {
	args := []string{"points", "--container", s.catalog.in.Name(), "--last", "0"}
	s.out.command(restoring, args...)
	var t timeline
	if err := s.ask(ctx, &t, args...); err != nil {
		return err
	}
	var before, after *point
	for i := range t.Points {
		if p := &t.Points[i]; !p.Latest.After(d.began) {
			before = p
		} else if after == nil && d.heads.covers(p) == "" {
			after = p
		}
	}
	if before == nil || after == nil {
		return fmt.Errorf("points lists %d, none before %s or none that holds all of the damage", len(t.Points), stamp(d.began))
	}
	s.note(after.Latest, "point %s: all of the damage", after.Name)
	s.out.say(restoring, "%s, restorable until %s; around the deployment\n  %s  %s, before it\n  %s  %s, after it",
		count(len(t.Points), "point", "points"), clock(t.Until), before.Name, before.Claim, after.Name, after.Claim)
	return nil
}

// compareDamaged lets `verify` say what the deployment did. Its numbers must be those that the shop knows.
func (s *story) compareDamaged(ctx context.Context, d *damage, moment string) error {
	args := []string{"verify", "--container", s.catalog.in.Name(), "--before", moment, "--to", s.catalog.in.Name()}
	s.out.command(restoring, args...)
	var v verified
	if err := s.verdict(ctx, exitDifferent, &v, args...); err != nil {
		return err
	}
	s.out.say(restoring, "exit code 4: %s with other bytes, %s not of that moment, %s missing, %s equal",
		grouped(v.Different), grouped(v.Extra), grouped(v.Missing), grouped(v.Equal))
	want := verified{
		Documents: int64(len(d.content)), Equal: int64(len(d.content)) - d.documents(),
		Extra: d.withdrawn, Different: d.documents(),
	}
	if v != want {
		return fmt.Errorf("verify of the damaged container says %+v, the shop knows %+v", v, want)
	}
	return nil
}

// verdict runs the restorer, demands its exit code, and reads its JSON.
func (s *story) verdict(ctx context.Context, exit int, into any, args ...string) error {
	r, err := s.stack.Run(ctx, "restorer", append(args, "-o", "json", "--limit", "3")...)
	if err != nil {
		return err
	}
	if r.Exit != exit {
		return fmt.Errorf("%s: got exit code %d, want %d: %s%s", r.Args, r.Exit, exit, r.Stderr, r.Stdout)
	}
	return decode(r, into)
}

// bring plans and runs one restore.
func (s *story) bring(ctx context.Context, c harness.Container, moment string) (*back, error) {
	b := &back{source: c, target: c}
	b.target.ID += "-restored"
	args := func(verb string) []string {
		return []string{verb, "--container", c.Name(), "--before", moment, "--to", b.target.Name()}
	}
	s.out.command(restoring, args("plan")...)
	if err := s.ask(ctx, &b.plan, args("plan")...); err != nil {
		return nil, err
	}
	from := "rows of changes alone"
	if b.plan.Source.Snapshot != "" {
		from = fmt.Sprintf("a snapshot of %s and the changes since", count(b.plan.Source.Documents, "document", "documents"))
	}
	s.out.say(restoring, "point %s, %s,\nfrom %s", b.plan.Point.Name, b.plan.Point.Claim, from)
	s.out.command(restoring, args("run")...)
	began := time.Now()
	if err := s.ask(ctx, &b.run, args("run")...); err != nil {
		return nil, err
	}
	b.took = time.Since(began)
	s.out.say(restoring, "%s, %s, %s", s.out.paint(green, count(b.run.Documents, "document", "documents")+" restored"), sized(b.run.Bytes), seconds(b.took))
	s.note(time.Now(), "%s is there", b.target.Name())
	return b, nil
}

func (s *story) verify(ctx context.Context, b *back, moment string) error {
	args := []string{"verify", "--container", s.catalog.in.Name(), "--before", moment, "--to", b.target.Name()}
	s.out.command(restoring, args...)
	began := time.Now()
	var v verified
	if err := s.verdict(ctx, exitDone, &v, args...); err != nil {
		return err
	}
	b.verified = time.Since(began)
	if v.Equal != v.Documents || v.Documents != b.run.Documents {
		return fmt.Errorf("verify says %+v of %d restored documents", v, b.run.Documents)
	}
	s.out.say(restoring, "exit code 0: all %s, byte for byte, and no other", count(v.Equal, "document", "documents"))
	return nil
}
