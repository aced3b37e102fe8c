package real_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	shopDocuments = 300
	shopReplaced  = 100
	shopDeleted   = 50
)

// TestProgramsKeepTheirArchiveInAzure runs the four programs on an archive in Azurite, over a network that loses one request
// or answer in fifty: what is restored verifies, and other people's readers find every record of the topic once.
func TestProgramsKeepTheirArchiveInAzure(t *testing.T) {
	onRequest(t)
	ctx := within(t, 4*time.Minute)
	p := newProxy(t, at(t, "").server())
	name := newContainer(t)
	e := at(t, p.URL)
	shop := harness.Container{Database: "shop", ID: "products", Key: []string{"/shelf"}, Ranges: 5, Deletes: "soft"}
	stack := newStack(t, ctx, harness.Options{Containers: []harness.Container{shop}, Settings: harness.Settings{
		"archive.root": e.endpoint + "/" + name + "/an/archive", "archive.account_key": fmt.Sprintf("%q", e.key), "kafka.session_timeout": "6s",
	}})
	p.randomly(*seed, 0.004)
	for i := range shopDocuments {
		write(t, ctx, stack, shop, i, `"state":"new"`)
	}
	supervised := &supervisor{t: t, stack: stack}
	for _, program := range []string{"producer", "archiver"} {
		for i := range 2 {
			supervised.spawn(fmt.Sprintf("%s-%d", program, i), program)
		}
	}
	for i := range shopReplaced {
		write(t, ctx, stack, shop, i, `"state":"edited"`)
	}
	for i := range shopDeleted {
		write(t, ctx, stack, shop, i, `"state":"gone","deleted":true`)
	}
	wrote := time.Now()
	point := supervised.restorable(ctx, shop, wrote)
	mustRun(t, ctx, stack, "compactor", "snapshot", "--container", shop.Name())
	restore(t, ctx, stack, shop, point)
	p.on(nil)
	if err := stack.Stop(ctx); err != nil {
		t.Fatalf("%v\n%s", err, stack.Tails(20))
	}
	ends, err := stack.Ends(ctx, shop.TopicName())
	if err != nil {
		t.Fatal(err)
	}
	checkArchive(t, ctx, name+"/an/archive", shop, ends)
	t.Logf("requests by fate: %v", p.met)
}

// supervisor starts a program again that ended with exit code 1, as every service manager does.
type supervisor struct {
	t         *testing.T
	stack     *harness.Stack
	processes []*harness.Process
	restarts  int
}

func (s *supervisor) spawn(name, program string) {
	s.t.Helper()
	process, err := s.stack.Spawn(name, program, []string{"run"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.processes = append(s.processes, process)
}

func (s *supervisor) look() error {
	for _, process := range s.processes {
		if process.Running() {
			continue
		}
		if process.ExitCode() != 1 {
			return fmt.Errorf("%s: got exit code %d want it to run", process.Name, process.ExitCode())
		}
		if s.restarts++; s.restarts > 20 {
			return fmt.Errorf("%s ended too often", process.Name)
		}
		if err := process.Start(); err != nil {
			return err
		}
	}
	return nil
}

// restorable waits for a point that holds everything acknowledged before the time and that does not move any more, and
// answers its name.
func (s *supervisor) restorable(ctx context.Context, c harness.Container, before time.Time) (name string) {
	s.t.Helper()
	err := harness.Until(ctx, "a restore point of "+c.Name(), func() (string, error) {
		timeline, err := s.stack.Points(ctx, c.Name(), 0)
		if err != nil {
			return err.Error(), s.look()
		}
		for _, one := range timeline.Points {
			var point struct {
				Name       string
				CompleteTo time.Time `json:"complete_to"`
				Settled    bool
			}
			if err := json.Unmarshal(one, &point); err != nil {
				return "", err
			}
			if point.Settled && !point.CompleteTo.Before(before) {
				name = point.Name
				return "", nil
			}
		}
		return fmt.Sprintf("none of %d holds everything before %v and stays: %v", timeline.Total, before, timeline.Pending), s.look()
	})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.stack.Tails(20))
	}
	s.t.Logf("programs started again: %d", s.restarts)
	return name
}

func newStack(t *testing.T, ctx context.Context, o harness.Options) *harness.Stack { //nolint:revive // t first in tests
	t.Helper()
	folder := filepath.Join(components.folder, t.Name())
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Bin, o.Partitions = folder, must(t, components.programs), 4
	stack, err := harness.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	return stack
}

func write(t *testing.T, ctx context.Context, s *harness.Stack, c harness.Container, i int, more string) { //nolint:revive // t first in tests
	t.Helper()
	document := fmt.Appendf(nil, `{"id":"%d","shelf":"s-%d","price":%d.50,%s}`, i, i%17, i, more)
	if err := s.Account.Write(ctx, harness.Upsert, c, fmt.Sprintf(`["s-%d"]`, i%17), document); err != nil {
		t.Fatal(err)
	}
}

// mustRun runs a program to its end; exit code 1 asks to be run again.
func mustRun(t *testing.T, ctx context.Context, s *harness.Stack, program string, args ...string) { //nolint:revive // t first in tests
	t.Helper()
	for attempt := 0; ; attempt++ {
		r, err := s.Run(ctx, program, args...)
		if err == nil && r.Exit == 1 && attempt < 5 {
			continue
		}
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
}

// restore restores a point into a new container and verifies it.
func restore(t *testing.T, ctx context.Context, s *harness.Stack, c harness.Container, point string) { //nolint:revive // t first in tests
	t.Helper()
	target := c
	target.ID += "-restored"
	mustRun(t, ctx, s, "restorer", "run", "--container", c.Name(), "--at", point, "--to", target.Name())
	mustRun(t, ctx, s, "restorer", "verify", "--container", c.Name(), "--at", point, "--to", target.Name())
	restored := 0
	if err := s.Account.Each(ctx, target, func([]byte) error { restored++; return nil }); err != nil || restored != shopDocuments-shopDeleted {
		t.Errorf("got %d documents restored, %v want %d", restored, err, shopDocuments-shopDeleted)
	}
}

// checkArchive lets foreign readers count: every offset of the topic is one row (INV-3), and the snapshot is the shop.
func checkArchive(t *testing.T, ctx context.Context, place string, c harness.Container, ends map[int32]int64) { //nolint:revive // t first in tests
	t.Helper()
	container, prefix, _ := strings.Cut(place, "/")
	root := at(t, "").store(t, container+"/"+prefix, azure.Options{})
	changes := schemas.ChangesPrefix(c.TopicName())
	s, err := delta.Load(ctx, blob.Prefixed(root, changes), delta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	archived := int64(0)
	for app, last := range s.Txns {
		archived += last + 1
		if partition := partitionOf(t, app[strings.LastIndex(app, "-")+1:]); last >= ends[partition] {
			t.Errorf("partition %d: got offset %d archived want at most %d", partition, last, ends[partition]-1)
		}
	}
	state := ""
	err = root.List(ctx, c.TopicName()+"/containers/", func(info blob.Info) error {
		if before, _, ok := strings.Cut(info.Name, "/_delta_log/"); ok {
			state = before
		}
		return nil
	})
	if err != nil || state == "" {
		t.Fatalf("got no state of %s, %v want one", c.Name(), err)
	}
	for _, r := range azureReaders() {
		var rows, twice, documents int64
		p := emulatedPlace(t, place+"/"+strings.TrimSuffix(changes, "/"))
		r.ask(p, "count", request{"where": "lsn >= 0"}, &rows)
		r.ask(p, "duplicates", request{"columns": []string{"topic_partition", "offset"}}, &twice)
		r.ask(emulatedPlace(t, place+"/"+state), "count", request{"where": "document IS NOT NULL"}, &documents)
		if rows != archived || twice != 0 || documents != shopDocuments-shopDeleted {
			t.Errorf("%s: got %d rows, %d of them twice, and %d documents in state want %d, 0 and %d", r.name, rows, twice, documents, archived, shopDocuments-shopDeleted)
		}
	}
	t.Logf("%d records archived in %d versions", archived, s.Version+1)
}

func partitionOf(t *testing.T, text string) (partition int32) {
	t.Helper()
	if _, err := fmt.Sscan(text, &partition); err != nil {
		t.Fatal(err)
	}
	return partition
}
