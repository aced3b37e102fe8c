package accept

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	byName    = 10
	byTime    = 5
	outside   = 5
	targetCut = 5 // physical ranges of a target
)

// restored is what a restore gave.
type restored struct {
	source  harness.Container
	target  harness.Container
	point   string
	base    string // the snapshot that it began with; empty: rows alone
	content map[oracle.Doc]string
}

// restore restores a moment into a new container and reads that over HTTP.
func (p *play) restore(c harness.Container, moment ...string) *restored {
	p.Helper()
	r, err := p.tryRestore(c, moment...)
	p.must(err)
	return r
}

func (p *play) tryRestore(c harness.Container, moment ...string) (*restored, error) {
	p.restores++
	r := &restored{
		source: c, target: harness.Container{Database: c.Database, ID: fmt.Sprintf("%s-back-%d", c.ID, p.restores), Key: c.Key},
		content: map[oracle.Doc]string{},
	}
	args := append([]string{"--container", c.Name(), "--to", r.target.Name(), "-o", "json"}, moment...)
	var plan struct {
		Point  struct{ Name string }
		Source struct{ Snapshot string }
	}
	if err := p.ask(&plan, "restorer", append([]string{"plan"}, args...)...); err != nil {
		return nil, err
	}
	var report struct {
		Point     string
		Documents int
	}
	if err := p.ask(&report, "restorer", append([]string{"run"}, args...)...); err != nil {
		return nil, err
	}
	r.point, r.base = report.Point, plan.Source.Snapshot
	if err := p.read(r); err != nil {
		return nil, err
	}
	if len(r.content) != report.Documents {
		return nil, fmt.Errorf("restore %s of %s: it says %d documents, %d are there", r.point, c.Name(), report.Documents, len(r.content))
	}
	return r, nil
}

// refusedError is an answer with exit code 2.
type refusedError struct{ said string }

func (e *refusedError) Error() string { return e.said }

// ask runs a program and decodes what it prints.
func (p *play) ask(into any, program string, args ...string) error {
	result, err := p.stack.Run(p.ctx, program, args...)
	switch {
	case err != nil:
		return err
	case result.Exit == 2:
		return &refusedError{result.Err().Error()}
	case result.Exit != 0:
		return result.Err()
	}
	if err := json.Unmarshal(result.Stdout, into); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, args, err, result.Stdout)
	}
	return nil
}

// tell is ask of a program that must succeed.
func (p *play) tell(into any, program string, args ...string) {
	p.Helper()
	p.must(p.ask(into, program, args...))
}

// read reads a target.
func (p *play) read(r *restored) error {
	return p.stack.Account.Each(p.ctx, r.target, func(document []byte) error {
		doc, err := oracle.Identify(document, r.target.Key)
		if err != nil {
			return err
		}
		user, err := oracle.User(document)
		if err != nil {
			return err
		}
		r.content[doc] = oracle.Digest(user)
		return nil
	})
}

// drop deletes a target.
func (p *play) drop(r *restored) { p.must(p.stack.Account.DeleteContainer(p.ctx, r.target)) }

// restoreEarly restores a point while everything goes on, chosen by its place among so many. The name of one of the newest
// may cease to fold under our hands, when marks of its second are archived later; then it is refused, and another is taken.
func (p *play) restoreEarly(choose func(int) int) *restored {
	c := p.containers[p.random.IntN(len(p.containers))]
	var r *restored
	p.until(30*time.Second, "a point of "+c.Name()+" to restore", func() (string, error) {
		list := p.points(c)
		if len(list.Points) == 0 {
			return fmt.Sprintf("there is none: %q", list.Pending), nil
		}
		var refusal *refusedError
		var err error
		r, err = p.tryRestore(c, "--at", list.Points[choose(len(list.Points))].Name)
		if errors.As(err, &refusal) && strings.Contains(refusal.said, "does not fold") {
			return refusal.said, nil
		}
		return "", err
	})
	p.drop(r)
	return r
}

// moments judges restores: 10 points by name, 5 times before T, 5 times outside.
func (p *play) moments(ledger oracle.Ledger, lineages oracle.Lineages) {
	lists := map[string][]listed{}
	report := &oracle.Report{}
	archives := p.archives(report)
	for _, c := range p.containers {
		lists[c.Name()] = p.points(c).Points
		for i := range lists[c.Name()] {
			archives[min(len(archives)-1, slices.Index(p.topics, c.TopicName()))].CheckPoint(&lists[c.Name()][i].Point, report)
		}
	}
	check := func(r *restored, limit time.Time) {
		list := lists[r.source.Name()]
		i := slices.IndexFunc(list, func(l listed) bool { return l.Name == r.point })
		if i < 0 {
			p.Fatalf("restored point %s of %s, which is not listed", r.point, r.source.Name())
		}
		if limit.IsZero() {
			limit = list[i].Latest
		}
		want, err := ledger.ByName(r.source.Name()).Content(&list[i].Point, lineages, p.library.Gone)
		p.must(err)
		before := report.Total()
		oracle.CheckContent(r.point+" of "+r.source.Name(), r.content, want, limit, report)
		p.Logf("restored %s of %s: %d documents, base %q, %d findings", r.point, r.source.Name(), len(r.content), r.base, report.Total()-before)
	}
	bases := map[bool]int{}
	for n := range byName {
		c := p.containers[n%len(p.containers)]
		list := lists[c.Name()]
		i := p.random.IntN(len(list))
		if n < len(p.containers) {
			i = len(list) - 1
		}
		r := p.restore(c, "--at", list[i].Name)
		check(r, time.Time{})
		bases[r.base != ""]++
		if n < len(p.containers) {
			p.bytes(r)
			p.again(r)
			bases[false]++
		}
		p.drop(r)
	}
	if bases[true] == 0 || bases[false] == 0 {
		p.Errorf("restores that began with a snapshot: %d, with rows alone: %d; want some of both", bases[true], bases[false])
	}
	for n := range byTime {
		c := p.containers[n%len(p.containers)]
		list := lists[c.Name()]
		at, want := p.timeWithin(list, n)
		r := p.restore(c, "--before", at.Format(time.RFC3339Nano))
		if r.point != want {
			p.Errorf("restore of %s before %s: took %s, want %s", c.Name(), at, r.point, want)
		}
		check(r, at)
		p.drop(r)
	}
	for n := range outside {
		c := p.containers[n%len(p.containers)]
		p.refused(c, lists[c.Name()], n)
	}
	p.sameAsEarly(check, lists)
	p.vanished(lists)
	p.verdict("restores", report)
}

// timeWithin is a time between the first point and the last, and the point that a restore before it must take.
func (p *play) timeWithin(list []listed, n int) (time.Time, string) {
	first, last := list[0].Latest, list[len(list)-1].Latest
	at := first.Add(time.Duration(p.random.Int64N(int64(last.Sub(first)) + 1)))
	switch n { // the bounds are inclusive
	case 0:
		at = list[p.random.IntN(len(list))].Latest
	case 1:
		at = list[1+p.random.IntN(len(list)-1)].Latest.Add(-time.Millisecond)
	}
	want := ""
	for _, l := range list {
		if !l.Latest.After(at) {
			want = l.Name
		}
	}
	return at, want
}

// refused asks for a time at which there is no point.
func (p *play) refused(c harness.Container, list []listed, n int) {
	at, near := list[0].Latest.Add(-time.Duration(1+p.random.IntN(1e6))*time.Millisecond), list[0].Name
	if n%2 == 1 {
		near = list[len(list)-1].Name
		at = list[len(list)-1].Latest.Add(time.Duration(1+p.random.IntN(1e6)) * time.Millisecond)
	}
	result, err := p.stack.Run(p.ctx, "restorer", "run", "--container", c.Name(), "--before", at.Format(time.RFC3339Nano), "--to", "shop.never")
	p.must(err)
	if result.Exit != 2 || !strings.Contains(string(result.Stderr), near) {
		p.Errorf("%v: exit code %d, %s; want 2 and %s", result.Args, result.Exit, result.Stderr, near)
	}
	if _, err := p.stack.Account.ReadContainer(p.ctx, harness.Container{Database: "shop", ID: "never"}); err == nil {
		p.Errorf("%v made a container", result.Args)
	}
}

// again restores the same point from rows alone, after its snapshots were put aside.
func (p *play) again(r *restored) {
	folder := filepath.Join(p.stack.Archive, r.source.TopicName(), "containers")
	p.must(os.Rename(folder, folder+".aside"))
	other := p.restore(r.source, "--at", r.point)
	p.must(os.Rename(folder+".aside", folder))
	if r.base == "" || other.base != "" {
		p.Errorf("restore %s of %s: began with snapshot %q, and after it was put aside with %q", r.point, r.source.Name(), r.base, other.base)
	}
	if !maps.Equal(r.content, other.content) {
		p.Errorf("restore %s of %s: snapshot and rows alone differ", r.point, r.source.Name())
	}
	p.drop(other)
}

// vanished counts the names that were listed once and are not any more.
func (p *play) vanished(lists map[string][]listed) {
	now := map[string]bool{}
	for name, list := range lists {
		for _, l := range list {
			now[name+" "+l.Name] = true
		}
	}
	n := 0
	for name := range p.seen {
		if !now[name] {
			n++
		}
	}
	p.Logf("of %d points that were listed %d do not fold any more", len(p.seen), n)
}

// sameAsEarly restores the points again that were restored in the middle of everything. A name may have ceased to fold,
// since marks of its second came late; then it is refused.
func (p *play) sameAsEarly(check func(*restored, time.Time), lists map[string][]listed) {
	kept := 0
	for _, early := range p.early {
		if !slices.ContainsFunc(lists[early.source.Name()], func(l listed) bool { return l.Name == early.point }) {
			result, err := p.stack.Run(p.ctx, "restorer", "plan", "--container", early.source.Name(), "--at", early.point)
			p.must(err)
			if result.Exit != 2 {
				p.Errorf("%v: exit code %d, want 2 for a name that is not listed", result.Args, result.Exit)
			}
			continue
		}
		kept++
		r := p.restore(early.source, "--at", early.point)
		check(r, time.Time{})
		if !maps.Equal(r.content, early.content) {
			p.Errorf("point %s of %s does not keep its content: %d documents early, %d now", r.point, r.source.Name(), len(early.content), len(r.content))
		}
		p.drop(r)
	}
	if kept == 0 {
		p.Errorf("none of %d points that were restored early is still there", len(p.early))
	}
}

// bytes compares the corpus byte for byte, and the container's settings.
func (p *play) bytes(r *restored) {
	for _, d := range p.corpus[r.source.Name()] {
		got, err := p.stack.Account.Read(p.ctx, r.target, d.key.array, d.id)
		if err != nil {
			p.Errorf("corpus document %q %s of %s: %v", d.id, d.key.array, r.target.Name(), err)
			continue
		}
		if user, err := oracle.User(got); err != nil || !bytes.Equal(user, d.body) {
			p.Errorf("corpus document %q of %s: got %.200q (%v) want %.200q", d.id, r.target.Name(), user, err, d.body)
		}
	}
	d := p.corpus[r.source.Name()][p.random.IntN(20)]
	result, err := p.stack.Run(p.ctx, "restorer", "get", "--container", r.source.Name(), "--at", r.point, "--partition-key", d.key.array, "--id", d.id)
	p.must(err)
	if result.Exit != 0 || !bytes.Equal(result.Stdout, d.body) {
		p.Errorf("%v: exit code %d, %s, got %.200q want %.200q", result.Args, result.Exit, result.Stderr, result.Stdout, d.body)
	}
	if got, want := p.settings(r.target), p.settings(r.source); got != want {
		p.Errorf("settings of %s: got %s want %s", r.target.Name(), got, want)
	}
	p.verify(r)
}

// settings are those of a container that a restore must bring back.
func (p *play) settings(c harness.Container) string {
	text, err := p.stack.Account.ReadContainer(p.ctx, c)
	p.must(err)
	var resource map[string]json.RawMessage
	p.must(json.Unmarshal(text, &resource))
	return string(resource["partitionKey"]) + " " + string(resource["indexingPolicy"])
}

// verify lets the restorer compare: equal first, and different after one write.
func (p *play) verify(r *restored) {
	args := []string{"verify", "--container", r.source.Name(), "--at", r.point, "--to", r.target.Name()}
	result, err := p.stack.Run(p.ctx, "restorer", args...)
	p.must(err)
	p.must(result.Err())
	d := p.corpus[r.source.Name()][0]
	changed := bytes.Replace(d.body, []byte("3"), []byte("4"), 1)
	p.must(p.stack.Account.Replace(p.ctx, r.target, d.key.array, d.id, changed))
	result, err = p.stack.Run(p.ctx, "restorer", args...)
	p.must(err)
	if result.Exit != 4 || !strings.Contains(string(result.Stdout), d.id) {
		p.Errorf("%v after a write: exit code %d, %s; want 4 and %s", result.Args, result.Exit, result.Stdout, d.id)
	}
}
