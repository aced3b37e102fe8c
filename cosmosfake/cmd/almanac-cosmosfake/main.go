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
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func main() {
	options, err := parse(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, errSaid):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "almanac-cosmosfake: %v; see almanac-cosmosfake -h\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cosmosfake.Run(ctx, options, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "almanac-cosmosfake: %v\n", err)
		os.Exit(1)
	}
}

// errSaid ends the program when it said what was asked for.
var errSaid = errors.New("nothing to do")

// parse reads the command line. Help and version go to out.
func parse(args []string, out io.Writer) (cosmosfake.RunOptions, error) {
	var (
		o       cosmosfake.RunOptions
		version bool
	)
	flags := flag.NewFlagSet("almanac-cosmosfake", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // which says everything twice
	flags.StringVar(&o.Addr, "addr", "127.0.0.1:8081", "`host:port` to listen on; port 0 takes any, and the endpoint that is printed names it")
	flags.StringVar(&o.ComputeAddr, "compute-addr", "", "`host:port` of a second gateway, which takes every id in a path as it was escaped; the first, like the service's, cannot reach ids that end with blanks or hold / \\ # or escapes")
	flags.Func("host", "further `name` or address of the machine, which its certificate is for; may be repeated", func(name string) error {
		o.Hosts = append(o.Hosts, name)
		return nil
	})
	flags.StringVar(&o.Certificate, "cert", "", "`file` to write the certificate to that clients must trust, in almanac.yaml cosmos.ca_file; it is new with every start, but with -dir")
	flags.StringVar(&o.TLSCert, "tls-cert", "", "`file` of the server's certificate, instead of one that is made")
	flags.StringVar(&o.TLSKey, "tls-key", "", "`file` of its private key")
	flags.StringVar(&o.Key, "key", cosmosfake.DefaultKey, "the account's master key in `base64`, which clients sign their requests with, in almanac.yaml cosmos.key; the default is the one of Microsoft's emulator, and public")
	flags.StringVar(&o.Dir, "dir", "", "`folder` that everything is written to before it is acknowledged, and read from when the program starts; it survives kill -9, and keeps the certificate's authority too")
	flags.IntVar(&o.Ranges, "ranges", 1, "`number` of physical ranges of a new container, 1 to 1024")
	flags.StringVar(&o.Region, "region", cosmosfake.DefaultRegion, "`name` of the account's region")
	flags.StringVar(&o.SecondRegion, "second-region", "", "`name` of another region, whose endpoint takes no writes until POST /_admin/fail-region")
	flags.StringVar(&o.SecondAddr, "second-addr", "", "`host:port` that the other region listens on; any port if it is left out")
	flags.StringVar(&o.Consistency, "consistency", cosmosfake.DefaultConsistency, "default consistency `level` that clients are told: Strong, BoundedStaleness, Session, ConsistentPrefix or Eventual")
	durationVar(flags, &o.Retention, "retention", "`duration` for which all versions and deletions are kept and shown by their change feed, such as 7h; without it that feed is refused, as by accounts that were not enabled for it")
	wordVar(flags, "deletion", "`shape` of deletions in that feed", []string{"object", "array", "documented"}, func(i int) { o.Deletion = cosmosfake.DeletionShape(i) })
	flags.BoolVar(&o.PreviousImages, "previous-images", false, "let deletions in that feed carry the version that they ended, as previous")
	wordVar(flags, "session", "`form` of session tokens", []string{"vector", "simple", "unnumbered"}, func(i int) { o.Session = cosmosfake.SessionForm(i) })
	wordVar(flags, "scan", "`order` in which queries read where they ask for none", []string{"lsn", "creation"}, func(i int) { o.Scan = cosmosfake.ScanOrder(i) })
	flags.Float64Var(&o.Throughput, "throughput", 0, "`RU/s` of a container that is created without throughput of its own, whatever /offers shows for it; what is beyond is refused with 429; 0 is no limit, whatever offers say")
	flags.Int64Var(&o.SplitBytes, "split-bytes", 0, "size of a physical range, in `bytes` of its documents, from which on it splits; 0 is never")
	o.PurgeEvery = time.Second
	durationVar(flags, &o.PurgeEvery, "purge-every", "`duration` between removals of documents whose time to live is over, such as 1s, the default; 0 is never; nobody sees them either way")
	flags.Uint64Var(&o.Seed, "seed", 0, "`number` that draws the resource ids of databases and containers: the same creations get the same ones; 0 draws others at every start, as the service does")
	flags.StringVar(&o.Ledger, "ledger", "", "`file` to append the ledger to: every write that it acknowledged, as one line of JSON")
	flags.BoolVar(&version, "version", false, "say which version this is")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		_, _ = fmt.Fprint(out, about) // nowhere else to say it
		flags.PrintDefaults()
		_, _ = fmt.Fprint(out, examples)
		return o, errSaid
	case err != nil:
		return o, err
	case version:
		_, err := fmt.Fprintln(out, "almanac-cosmosfake", buildVersion())
		return o, errors.Join(err, errSaid)
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.Ranges == 0: // which is the default in Go
		return o, errors.New("-ranges is 0, want 1 to 1024")
	}
	return o, nil
}

// wordVar takes one of some words, of which the first is the default.
func wordVar(flags *flag.FlagSet, name, usage string, words []string, set func(int)) {
	flags.Func(name, usage+": "+strings.Join(words, ", ")+" (default "+words[0]+")", func(text string) error {
		i := slices.Index(words, text)
		if i < 0 {
			return fmt.Errorf("want %s", strings.Join(words, " or "))
		}
		set(i)
		return nil
	})
}

// durationVar says of a number without a unit what it may have meant.
func durationVar(flags *flag.FlagSet, into *time.Duration, name, usage string) {
	flags.Func(name, usage, func(text string) error {
		d, err := time.ParseDuration(text)
		if err == nil {
			*into = d
			return nil
		}
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return fmt.Errorf("it has no unit: %[1]ss, %[1]sm or %[1]sh", text)
		}
		return errors.New("want a duration such as 90s, 15m or 7h")
	})
}

func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of unknown origin"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(version, s.Value[:min(12, len(s.Value))]) {
			version += " " + s.Value
		}
	}
	return strings.TrimSpace(version + " " + info.GoVersion)
}

const about = `almanac-cosmosfake is a Cosmos DB account (NoSQL API) in memory, for tests and trials. It prints its endpoint and serves until it is interrupted.
Clients use gateway mode (Java gatewayMode(), .NET ConnectionMode.Gateway) and trust the certificate that -cert writes; docs/emulator.md has the rest.

Flags:
`

const examples = `
Examples:
  # an account at https://127.0.0.1:8081/, for an almanac.yaml with
  #   cosmos: { endpoint: "https://127.0.0.1:8081/", ca_file: emulator.pem, key: { env: COSMOS_KEY } }
  almanac-cosmosfake -cert emulator.pem
  # another beside it, on any free port, whose containers have five physical ranges, and which writes down all that it acknowledges
  almanac-cosmosfake -addr 127.0.0.1:0 -cert other.pem -ranges 5 -ledger ledger.jsonl
  # one that keeps everything, and can be reached from other machines by the name emulator
  almanac-cosmosfake -addr 0.0.0.0:8081 -host emulator -dir data -cert emulator.pem
`
