// Command almanac-cosmosfake runs the Cosmos DB emulator of package cosmosfake until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func main() {
	var o cosmosfake.RunOptions
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:8081", "host:port to listen on")
	flag.StringVar(&o.Certificate, "cert", "", "file to write the certificate authority to, for clients to trust")
	flag.StringVar(&o.Key, "key", cosmosfake.DefaultKey, "the account's master key, base64")
	flag.IntVar(&o.Ranges, "ranges", 1, "physical ranges of a new container")
	flag.StringVar(&o.Ledger, "ledger", "", "file to append the ledger to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cosmosfake.Run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
