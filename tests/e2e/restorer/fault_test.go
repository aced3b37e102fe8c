package restorer_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/tests/bench/peer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// filled is a world with n documents at a point.
func filled(t *testing.T, n int) (w *world, point string) {
	w = newWorld(t, shop())
	for i := range n {
		key := fmt.Sprintf("c%d", i%5)
		w.write(`["`+key+`"]`, fmt.Sprintf(`{"id":"p%03d","k":%q,"n":%d.0}`, i, key, i))
	}
	return w, w.archive(0)
}

// isCreation tells a creation of a document in the container.
func isCreation(r *http.Request, container string) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/colls/"+container+"/docs") && r.Header.Get("x-ms-cosmos-is-batch-request") == ""
}

// Requests of the restore, reads and the container's creation included, meet throttling, trouble and lost answers: each
// fault hits one of forty, in an order that the seed shuffles.
func TestRestoreThroughTrouble(t *testing.T) {
	t.Parallel()
	w, point := filled(t, 150)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	faults := []*cosmosfake.Fault{
		{Status: 429, Substatus: 3200, Message: "Request rate is large"},
		{Drop: cosmosfake.DropAfter},
		{Drop: cosmosfake.DropBefore},
		{Status: 449},
		{Status: 408},
	}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	var order []int
	requests := 0
	w.server.SetHook(func(*http.Request) *cosmosfake.Fault {
		mu.Lock()
		defer mu.Unlock()
		requests++
		if len(order) == 0 {
			order = random.Perm(40)
		}
		next := order[0]
		order = order[1:]
		if next < len(faults) {
			return faults[next]
		}
		return nil
	})
	o := w.run("run", "--at", point, "--to", "shop.copy", "-o", "json", "--restorer-concurrency", "16")
	w.server.SetHook(nil)
	o.want(t, 0, `"documents": 150`)
	sameContents(t, w.contents("copy"), w.contents("products"))
	if requests < 160 {
		t.Errorf("got %d requests, want more than one for each of 150 documents", requests)
	}
}

// The answers to all creations are lost, of documents whose ids no path can name.
func TestAnswersOfCreationsAreLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	for i, id := range []string{"plain", `c"%41+&='`, ".", "..", "a%2Fb", "ü b", "blank behind ", "%", "+"} {
		w.write(`["k"]`, fmt.Sprintf(`{"id":%q,"k":"k","n":%d}`, id, i))
	}
	point := w.archive(0)
	var created atomic.Int32
	w.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if isCreation(r, "copy") && created.Add(1)%2 == 1 { // the one behind it is that creation again
			return &cosmosfake.Fault{Drop: cosmosfake.DropAfter}
		}
		return nil
	})
	w.run("run", "--at", point, "--to", "shop.copy", "--restorer-concurrency", "1").want(t, 0, "9 documents")
	w.server.SetHook(nil)
	if got := created.Load(); got != 18 {
		t.Errorf("got %d creations, want 18: each again after its answer was lost", got)
	}
	sameContents(t, w.contents("copy"), w.contents("products"))
}

func TestAnswersOfTheContainersCreationAreLost(t *testing.T) {
	t.Parallel()
	w, point := filled(t, 3)
	var lost atomic.Int32
	w.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/colls") && lost.Add(1) == 1 {
			return &cosmosfake.Fault{Drop: cosmosfake.DropAfter}
		}
		return nil
	})
	w.run("run", "--at", point, "--to", "shop.copy").want(t, 0, "3 documents")
	if lost.Load() != 2 {
		t.Errorf("got %d creations of the container, want 2", lost.Load())
	}
	sameContents(t, w.contents("copy"), w.contents("products"))
}

// A restore that is killed, again and again, goes on with the same command. The thirtieth creation of each life waits for
// the end of the process and is done after it; those behind it wait too, and are lost.
func TestRestoreIsKilled(t *testing.T) {
	t.Parallel()
	w, point := filled(t, 120)
	for kill := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		var created atomic.Int32
		reached := make(chan struct{})
		w.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
			if !isCreation(r, "copy") {
				return nil
			}
			switch n := created.Add(1); {
			case n == 30:
				close(reached)
				<-ctx.Done() // in flight while the process is killed
			case n > 30:
				<-ctx.Done()
				return &cosmosfake.Fault{Drop: cosmosfake.DropBefore}
			}
			return nil
		})
		command, err := peer.Role(ctx, "restorer", "run", "--at", point, "--to", "shop.copy", "--config", w.config)
		w.must(err)
		var output bytes.Buffer
		command.Stdout, command.Stderr = &output, &output
		w.must(command.Start())
		go func() {
			select {
			case <-reached:
				cancel() // kills: CommandContext sends SIGKILL
			case <-ctx.Done():
			}
		}()
		err = command.Wait()
		cancel()
		if err == nil || command.ProcessState.Exited() {
			t.Fatalf("kill %d: got %v, want a killed process: %s", kill, err, output.String())
		}
		if n := len(w.contents("copy")); n == 0 || n == 120 {
			t.Fatalf("kill %d: got %d documents, want some", kill, n)
		}
	}
	w.server.SetHook(nil)
	w.run("run", "--at", point, "--to", "shop.copy").want(t, 0, "120 documents", "were there already")
	sameContents(t, w.contents("copy"), w.contents("products"))
	w.run("verify", "--at", point, "--to", "shop.copy").want(t, 0)
}

func TestRestoreIsInterrupted(t *testing.T) {
	t.Parallel()
	w, point := filled(t, 60)
	ctx, cancel := context.WithCancel(t.Context())
	var created atomic.Int32
	w.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if isCreation(r, "copy") && created.Add(1) == 20 {
			cancel()
		}
		return nil
	})
	w.runContext(ctx, "run", "--at", point, "--to", "shop.copy").want(t, 1, "interrupted")
	w.server.SetHook(nil)
	w.run("run", "--at", point, "--to", "shop.copy").want(t, 0, "60 documents")
	sameContents(t, w.contents("copy"), w.contents("products"))
}

// Somebody writes into the target while it is filled: the restore says so, and overwrites nothing.
func TestSomebodyElseWrites(t *testing.T) {
	t.Parallel()
	w, point := filled(t, 40)
	var created atomic.Int32
	w.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if isCreation(r, "copy") && created.Add(1) == 1 {
			err := w.account.Write(context.Background(), harness.Create, harness.Container{Database: "shop", ID: "copy"}, `["c4"]`, []byte(`{"id":"p039","k":"c4","mine":true}`))
			if err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	w.run("run", "--at", point, "--to", "shop.copy", "--restorer-concurrency", "1").want(t, 2, `"p039"`, "another document stands there")
	w.server.SetHook(nil)
	if !strings.Contains(strings.Join(w.contents("copy"), ""), `"mine":true`) {
		t.Error("got the stranger's document overwritten")
	}
}

func TestVerifyWaitsForALaggingReplica(t *testing.T) {
	t.Parallel()
	w, point := filled(t, 40)
	w.run("run", "--at", point, "--to", "shop.copy").want(t, 0)
	states, err := w.server.Ranges("shop", "copy")
	w.must(err)
	for _, s := range states {
		_, err := w.server.Lag(cosmosfake.Range{Database: "shop", Container: "copy", ID: s.ID}, min(3, s.Newest), 2)
		w.must(err)
	}
	w.run("verify", "--at", point, "--to", "shop.copy").want(t, 0, "equal")
}

func TestAccountRefuses(t *testing.T) {
	t.Parallel()
	w, point := filled(t, 3)
	w.run("run", "--at", point, "--to", "shop.copy", "--cosmos-key", "YWFhYQ==").want(t, 2, "cosmos.key")
	w.run("run", "--at", point, "--to", "shop.copy", "--cosmos-key", "?").want(t, 2, "base64")
	w.run("run", "--at", point, "--to", "shop.copy", "--cosmos-endpoint", "https://127.0.0.1:1/").want(t, 1, "127.0.0.1:1")
	w.run("run", "--at", point, "--to", "copy").want(t, 2, "want database.container")
	w.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if isCreation(r, "copy") {
			return &cosmosfake.Fault{Status: 403, Message: "Forbidden by the firewall"}
		}
		return nil
	})
	w.run("run", "--at", point, "--to", "shop.copy").want(t, 2, "403", "firewall")
}
