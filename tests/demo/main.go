// Command demo loses a shop's documents and gets them back, with the real programs, on one machine, in under a minute.
//
// It hosts Cosmos DB (cosmosfake) and Kafka (kfake) in its own process, starts two producers, two archivers, the
// compactor and the restorer as its children, and prints what happens. It ends with exit code 0 only when what was
// restored is, byte for byte, what the emulator's ledger says the container held: an oracle that shares no code with
// the product compares them.
//
// With -dev it starts the same stack, keeps a little business going, and prints its addresses instead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// limit bounds the whole run: whatever hangs ends with a message instead.
const limit = 3 * time.Minute

func main() {
	seed := flag.Uint64("seed", uint64(time.Now().UnixMilli()%100_000), "what the workload is made from")
	dev := flag.Bool("dev", false, "leave the stack running and print its addresses")
	bin := flag.String("bin", "", "folder of the programs; default: .build/bin of the workspace")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{seed: *seed, bin: *bin, random: rand.New(rand.NewPCG(*seed, 0)), out: newPrinter(os.Stdout)}
	err := d.run(ctx, *dev)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		d.out.plain("\nstopped\n")
		return
	}
	if err != nil {
		d.out.fail(err, d.seed)
		stop()
		os.Exit(1)
	}
}

// demo is one run.
type demo struct {
	seed   uint64
	bin    string
	random *rand.Rand
	out    *printer

	dir     string // everything lies below it
	stack   *harness.Stack
	library harness.Library
	shop    *shop
}

func products() harness.Container {
	return harness.Container{Database: "shop", ID: "products", Key: []string{"/categoryName"}, Ranges: 6, Deletes: "soft"}
}

func orders() harness.Container {
	return harness.Container{Database: "shop", ID: "orders", Key: []string{"/tenant", "/customer"}, Ranges: 5, Deletes: "none"}
}

func (d *demo) run(ctx context.Context, dev bool) (err error) {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	if d.bin == "" {
		d.bin = filepath.Join(root, ".build", "bin")
	}
	if _, err := os.Stat(filepath.Join(d.bin, "almanac-restorer")); err != nil {
		return fmt.Errorf("find programs: %w; run make build first", err)
	}
	d.dir = filepath.Join(root, ".demo")
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if dev {
		return d.develop(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.start(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			d.out.plain("\n" + d.stack.Tails(5))
		}
		err = errors.Join(err, d.stack.Close())
	}()
	return d.story(ctx)
}

// start brings up everything but the workload.
func (d *demo) start(ctx context.Context) (err error) {
	d.stack, err = harness.New(ctx, harness.Options{
		Dir: d.dir, Bin: d.bin, Partitions: 4, Containers: []harness.Container{products(), orders()},
	})
	if err != nil {
		return err
	}
	for _, p := range []struct{ name, program string }{
		{"producer-1", "producer"}, {"producer-2", "producer"}, {"archiver-1", "archiver"}, {"archiver-2", "archiver"},
	} {
		if _, err := d.stack.Spawn(p.name, p.program, []string{"run"}); err != nil {
			return errors.Join(err, d.stack.Close())
		}
	}
	return nil
}
