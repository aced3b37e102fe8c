// Command almanac-cosmosfake runs the Cosmos DB emulator of package cosmosfake until it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func main() {
	options, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cosmosfake.Run(ctx, options, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// parse reads the command line. What is wrong with it, and help, goes to out.
func parse(args []string, out io.Writer) (cosmosfake.RunOptions, error) {
	var o cosmosfake.RunOptions
	flags := flag.NewFlagSet("almanac-cosmosfake", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.Addr, "addr", "127.0.0.1:8081", "`host:port` to listen on; port 0 takes any, and the endpoint that is printed names it")
	flags.StringVar(&o.ComputeAddr, "compute-addr", "", "`host:port` of a second gateway, which takes every id in a path as it was escaped; the first, like the service's, cannot reach ids that end with blanks or hold / \\ # or escapes")
	flags.StringVar(&o.Dir, "dir", "", "`folder` that the account is saved to when the program ends, and read from when it starts")
	flags.StringVar(&o.Region, "region", cosmosfake.DefaultRegion, "`name` of the account's region")
	flags.StringVar(&o.Consistency, "consistency", cosmosfake.DefaultConsistency, "default consistency `level` that clients are told")
	flags.StringVar(&o.Certificate, "cert", "", "`file` to write the certificate of its authority to, new with every start: what clients must trust, in almanac.yaml cosmos.ca_file")
	flags.StringVar(&o.Key, "key", cosmosfake.DefaultKey, "the account's master key in `base64`, which clients sign their requests with, in almanac.yaml cosmos.key; the default is the one of Microsoft's emulator, and public")
	flags.IntVar(&o.Ranges, "ranges", 1, "physical ranges of a new container")
	flags.DurationVar(&o.Retention, "retention", 0, "how long all versions and deletions are kept and shown by their change feed; 0 refuses it, as accounts do that were not enabled for it")
	flags.Float64Var(&o.Throughput, "throughput", 0, "RU/s of a container without an offer of its own; what is beyond is refused with 429; 0 is no limit, whatever offers say")
	flags.Int64Var(&o.SplitBytes, "split-bytes", 0, "size of a physical range, in bytes of its documents, from which on it splits; 0 is never")
	flags.DurationVar(&o.PurgeEvery, "purge-every", time.Second, "how often documents whose time to live is over are removed for good; 0 is never")
	flags.StringVar(&o.Ledger, "ledger", "", "`file` to append the ledger to: every write that it acknowledged, as one line of JSON")
	flags.Usage = func() {
		_, _ = fmt.Fprint(out, about) // nowhere else to say it
		flags.PrintDefaults()
		_, _ = fmt.Fprint(out, examples)
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(out, "almanac-cosmosfake: unexpected argument %q; see almanac-cosmosfake --help\n", flags.Arg(0))
		return o, errArgument
	}
	return o, nil
}

var errArgument = errors.New("unexpected argument")

const about = `almanac-cosmosfake is a Cosmos DB account in memory, for tests and trials. It prints its endpoint and serves until it is interrupted.

Flags:
`

const examples = `
Examples:
  # an account at https://127.0.0.1:8081/, for an almanac.yaml with
  #   cosmos: { endpoint: "https://127.0.0.1:8081/", ca_file: emulator.pem, key: { env: COSMOS_KEY } }
  almanac-cosmosfake -cert emulator.pem
  # another beside it, on any free port, whose containers have five physical ranges, and which writes down all that it acknowledges
  almanac-cosmosfake -addr 127.0.0.1:0 -cert other.pem -ranges 5 -ledger ledger.jsonl
`
