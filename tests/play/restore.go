package play

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

// Sample is how many restores of each kind Moments judges.
type Sample struct {
	ByName  int // of a point, at least one of each container
	ByTime  int // before a time
	Outside int // of a time at which there is no point
}

// restored is what a restore gave.
type restored struct {
	source  harness.Container
	target  harness.Container
	point   string
	base    string // the snapshot that it began with; empty: rows alone
	content map[oracle.Doc]string
}

// restore restores a moment into a new container and reads that over HTTP.
func (p *Play) restore(c harness.Container, moment ...string) *restored {
	p.Helper()
	r, err := p.tryRestore(c, moment...)
	p.Must(err)
	return r
}

func (p *Play) tryRestore(c harness.Container, moment ...string) (*restored, error) {
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
func (p *Play) ask(into any, program string, args ...string) error {
	result, err := p.Stack.Run(p.Ctx, program, args...)
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

// Tell is ask of a program that must succeed.
func (p *Play) Tell(into any, program string, args ...string) {
	p.Helper()
	p.Must(p.ask(into, program, args...))
}

// read reads a target.
func (p *Play) read(r *restored) error {
	return p.Stack.Account.Each(p.Ctx, r.target, func(document []byte) error {
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
func (p *Play) drop(r *restored) { p.Must(p.Stack.Account.DeleteContainer(p.Ctx, r.target)) }

// RestoreEarly restores a point, chosen by its place among so many; Moments compares what it holds then.
func (p *Play) RestoreEarly(choose func(int) int) { p.early = append(p.early, p.restoreEarly(choose)) }

// restoreEarly restores a point while everything goes on, chosen by its place among so many. The name of one of the newest
// may cease to fold under our hands, when marks of its second are archived later; then it is refused, and another is taken.
func (p *Play) restoreEarly(choose func(int) int) *restored {
	c := p.Containers[p.Random.IntN(len(p.Containers))]
	var r *restored
	p.Until(p.options.Patience, "a point of "+c.Name()+" to restore", func() (string, error) {
		list := p.Points(c)
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

// Moments judges restores.
func (p *Play) Moments(n Sample, ledger oracle.Ledger, lineages oracle.Lineages) {
	lists := map[string][]Listed{}
	report := &oracle.Report{}
	archives := p.archives(report)
	for _, c := range p.Containers {
		lists[c.Name()] = p.Points(c).Points
		for i := range lists[c.Name()] {
			archives[min(len(archives)-1, slices.Index(p.Topics, c.TopicName()))].CheckPoint(&lists[c.Name()][i].Point, report)
		}
	}
	check := func(r *restored, limit time.Time) {
		list := lists[r.source.Name()]
		i := slices.IndexFunc(list, func(l Listed) bool { return l.Name == r.point })
		if i < 0 {
			p.Fatalf("restored point %s of %s, which is not listed", r.point, r.source.Name())
		}
		if limit.IsZero() {
			limit = list[i].Latest
		}
		want, err := ledger.ByName(r.source.Name()).Content(&list[i].Point, lineages, p.Library.Gone)
		p.Must(err)
		before := report.Total()
		oracle.CheckContent(r.point+" of "+r.source.Name(), r.content, want, limit, report)
		p.Logf("restored %s of %s: %d documents, base %q, %d findings", r.point, r.source.Name(), len(r.content), r.base, report.Total()-before)
	}
	bases := map[bool]int{}
	for i := range n.ByName {
		c := p.Containers[i%len(p.Containers)]
		list := lists[c.Name()]
		which := p.Random.IntN(len(list))
		if i < len(p.Containers) {
			which = len(list) - 1
		}
		r := p.restore(c, "--at", list[which].Name)
		check(r, time.Time{})
		bases[r.base != ""]++
		if i < len(p.Containers) {
			p.bytes(r)
			p.again(r)
			bases[false]++
		}
		p.drop(r)
	}
	if bases[true] == 0 || bases[false] == 0 {
		p.Errorf("restores that began with a snapshot: %d, with rows alone: %d; want some of both", bases[true], bases[false])
	}
	for i := range n.ByTime {
		c := p.Containers[i%len(p.Containers)]
		list := lists[c.Name()]
		at, want := p.timeWithin(list, i)
		r := p.restore(c, "--before", at.Format(time.RFC3339Nano))
		if r.point != want {
			p.Errorf("restore of %s before %s: took %s, want %s", c.Name(), at, r.point, want)
		}
		check(r, at)
		p.drop(r)
	}
	for i := range n.Outside {
		c := p.Containers[i%len(p.Containers)]
		p.refused(c, lists[c.Name()], i)
	}
	p.sameAsEarly(check, lists)
	p.vanished(lists)
	p.verdict("restores", report)
}

// timeWithin is a time between the first point and the last, and the point that a restore before it must take.
func (p *Play) timeWithin(list []Listed, n int) (time.Time, string) {
	first, last := list[0].Latest, list[len(list)-1].Latest
	at := first.Add(time.Duration(p.Random.Int64N(int64(last.Sub(first)) + 1)))
	switch n { // the bounds are inclusive
	case 0:
		at = list[p.Random.IntN(len(list))].Latest
	case 1:
		at = list[1+p.Random.IntN(len(list)-1)].Latest.Add(-time.Millisecond)
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
func (p *Play) refused(c harness.Container, list []Listed, n int) {
	at, near := list[0].Latest.Add(-time.Duration(1+p.Random.IntN(1e6))*time.Millisecond), list[0].Name
	if n%2 == 1 {
		near = list[len(list)-1].Name
		at = list[len(list)-1].Latest.Add(time.Duration(1+p.Random.IntN(1e6)) * time.Millisecond)
	}
	result, err := p.Stack.Run(p.Ctx, "restorer", "run", "--container", c.Name(), "--before", at.Format(time.RFC3339Nano), "--to", "shop.never")
	p.Must(err)
	if result.Exit != 2 || !strings.Contains(string(result.Stderr), near) {
		p.Errorf("%v: exit code %d, %s; want 2 and %s", result.Args, result.Exit, result.Stderr, near)
	}
	if _, err := p.Stack.Account.ReadContainer(p.Ctx, harness.Container{Database: "shop", ID: "never"}); err == nil {
		p.Errorf("%v made a container", result.Args)
	}
}

// again restores the same point from rows alone: from the folder of the archive, after its snapshots were put aside.
func (p *Play) again(r *restored) {
	p.Must(p.Stack.Fetch(p.Ctx))
	folder := filepath.Join(p.Stack.Archive, r.source.TopicName(), "containers")
	p.Must(os.Rename(folder, folder+".aside"))
	other := p.restore(r.source, "--at", r.point, "--archive-root", p.Stack.Archive)
	p.Must(os.Rename(folder+".aside", folder))
	if r.base == "" || other.base != "" {
		p.Errorf("restore %s of %s: began with snapshot %q, and after it was put aside with %q", r.point, r.source.Name(), r.base, other.base)
	}
	if !maps.Equal(r.content, other.content) {
		p.Errorf("restore %s of %s: snapshot and rows alone differ", r.point, r.source.Name())
	}
	p.drop(other)
}

// vanished counts the names that were listed once and are not any more.
func (p *Play) vanished(lists map[string][]Listed) {
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
func (p *Play) sameAsEarly(check func(*restored, time.Time), lists map[string][]Listed) {
	kept := 0
	for _, early := range p.early {
		if !slices.ContainsFunc(lists[early.source.Name()], func(l Listed) bool { return l.Name == early.point }) {
			result, err := p.Stack.Run(p.Ctx, "restorer", "plan", "--container", early.source.Name(), "--at", early.point)
			p.Must(err)
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

// bytes compares the corpus byte for byte, and the container's settings. It lists the target: not all ids can be named in a
// path.
func (p *Play) bytes(r *restored) {
	there := map[string]bool{}
	p.Must(p.Stack.Account.Each(p.Ctx, r.target, func(document []byte) error {
		user, err := oracle.User(document)
		there[string(user)] = true
		return err
	}))
	for _, d := range p.corpus[r.source.Name()] {
		if !there[string(d.body)] {
			p.Errorf("corpus document %q %s is not in %s as it was written: %.200q", d.id, d.key.array, r.target.Name(), d.body)
		}
	}
	d := p.corpus[r.source.Name()][p.Random.IntN(20)]
	result, err := p.Stack.Run(p.Ctx, "restorer", "get", "--container", r.source.Name(), "--at", r.point, "--partition-key", d.key.array, "--id", d.id)
	p.Must(err)
	if result.Exit != 0 || !bytes.Equal(result.Stdout, d.body) {
		p.Errorf("%v: exit code %d, %s, got %.200q want %.200q", result.Args, result.Exit, result.Stderr, result.Stdout, d.body)
	}
	if got, want := p.settings(r.target), p.settings(r.source); got != want {
		p.Errorf("settings of %s: got %s want %s", r.target.Name(), got, want)
	}
	p.verify(r)
}

// settings are those of a container that a restore must bring back.
func (p *Play) settings(c harness.Container) string {
	text, err := p.Stack.Account.ReadContainer(p.Ctx, c)
	p.Must(err)
	var resource map[string]json.RawMessage
	p.Must(json.Unmarshal(text, &resource))
	return string(resource["partitionKey"]) + " " + string(resource["indexingPolicy"])
}

// verify lets the restorer compare: equal first, and different after one write.
func (p *Play) verify(r *restored) {
	args := []string{"verify", "--container", r.source.Name(), "--at", r.point, "--to", r.target.Name()}
	result, err := p.Stack.Run(p.Ctx, "restorer", args...)
	p.Must(err)
	p.Must(result.Err())
	d := p.corpus[r.source.Name()][0]
	changed := bytes.Replace(d.body, []byte("3"), []byte("4"), 1)
	p.Must(p.Stack.Account.Replace(p.Ctx, r.target, d.key.array, d.id, changed))
	result, err = p.Stack.Run(p.Ctx, "restorer", args...)
	p.Must(err)
	if result.Exit != 4 || !strings.Contains(string(result.Stdout), d.id) {
		p.Errorf("%v after a write: exit code %d, %s; want 4 and %s", result.Args, result.Exit, result.Stdout, d.id)
	}
}
