// Command demo loses a shop's documents to a bad deployment and gets them back, with the real programs, on one machine,
// in under a minute.
//
// It hosts Cosmos DB (cosmosfake) and Kafka (kfake) in its own process and starts two producers, two archivers, the
// compactor and the restorer as its children. It ends with exit code 0 only when what was restored is, byte for byte,
// what this process wrote before the deployment, and what the emulator's ledger says was there.
//
// Nouns:
//
//   - The shop is the application whose data is at stake: a [catalog] of products and reviews, and a [till] that takes
//     orders. Both know every byte that they wrote.
//   - The [story] is the order of events; its stages are the labels in the output.
//   - The [damage] is what the deployment did.
//
// With -dev it starts the same stack, keeps the shop open until Ctrl-C, and prints the addresses. With -dev -real Kafka is
// Apache Kafka, and the archive lies in Azurite: [server] processes of deploy/dev, in the same folder.
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

// limit bounds the story: whatever hangs ends with a message instead.
const limit = 3 * time.Minute

func main() { os.Exit(run()) }

func run() int {
	seed := flag.Uint64("seed", 0, "make the same workload again; 0: a seed by chance")
	dev := flag.Bool("dev", false, "leave the stack running until Ctrl-C, with a little business")
	real := flag.Bool("real", false, "with -dev: on Apache Kafka and Azurite, see deploy/dev/install")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: go run ./tests/demo [-seed n] [-dev [-real]]     (after make build)\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *seed == 0 {
		*seed = 1 + rand.Uint64N(99_999)
	}
	out := newScreen(os.Stdout, os.Getenv("NO_COLOR"))
	if flag.NArg() > 0 {
		out.fail(fmt.Errorf("unknown argument %q; -h lists the flags", flag.Arg(0)))
		return 2
	}
	if *real && !*dev {
		out.fail(errors.New("-real is for -dev"))
		return 2
	}
	place, err := openPlace()
	if err != nil {
		out.fail(err)
		return 2
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &story{seed: *seed, out: out, place: place}
	switch {
	case *real:
		err = s.develop(ctx, s.onServers)
	case *dev:
		err = s.develop(ctx, s.embedded)
	default:
		err = s.tell(ctx)
	}
	err = errors.Join(err, s.close(), place.stopServers(), place.release())
	switch {
	case ctx.Err() != nil && *dev: // Ctrl-C is how it ends
		return 0
	case ctx.Err() != nil:
		out.fail(errors.New("interrupted"))
		return 1
	case err != nil:
		out.fail(err)
		out.tails(s.tails, place.short("logs"))
		out.plain("the same workload again: make demo ARGS=-seed=%d\n", s.seed)
		return 1
	}
	return 0
}

// place is the folder that everything lies in, and where the programs and the servers' scripts are.
type place struct {
	dir, bin, scripts string
	release           func() error // gives the folder to the next run
}

// openPlace empties the folder, unless another run works in it.
func openPlace() (*place, error) {
	root, err := harness.Root()
	if err != nil {
		return nil, err
	}
	p := &place{dir: filepath.Join(root, folder), bin: filepath.Join(root, ".build", "bin"), scripts: filepath.Join(root, "deploy", "dev")}
	for _, program := range harness.Programs() {
		if _, err := os.Stat(filepath.Join(p.bin, "almanac-"+program)); err != nil {
			return nil, fmt.Errorf("find programs: %w; run make build first", err)
		}
	}
	// A run that was killed may have left its servers to themselves.
	p.release, err = openFolder(p.dir, p.stopServers)
	return p, err
}

const folder = ".demo" // at the root of the workspace

// short is a path below the folder as somebody types it at the root of the workspace.
func (p *place) short(below string) string { return filepath.Join(folder, below) }
