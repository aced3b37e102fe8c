package cosmosfake

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// RunOptions of the program. Empty fields are left out or default as in Options.
type RunOptions struct {
	Addr        string
	ComputeAddr string // of the second gateway; empty is none
	Certificate string // file that receives the authority's certificate
	Key         string
	Ranges      int
	Region      string
	Dir         string // data directory
	Consistency string
	Ledger      string // file to append the ledger to
	Retention   time.Duration
	Throughput  float64
	SplitBytes  int64
	PurgeEvery  time.Duration
}

// Run serves until ctx ends. It prints the endpoint to out once it listens.
func Run(ctx context.Context, o RunOptions, out io.Writer) (err error) {
	options := Options{
		Addr: o.Addr, ComputeAddr: o.ComputeAddr, Region: o.Region, Dir: o.Dir, Consistency: o.Consistency, Key: o.Key, Ranges: o.Ranges,
		Retention: o.Retention, Throughput: o.Throughput, SplitBytes: o.SplitBytes, PurgeEvery: o.PurgeEvery,
	}
	if o.Ledger != "" {
		file, err := os.OpenFile(o.Ledger, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return fmt.Errorf("open ledger: %w", err)
		}
		defer func() {
			if e := file.Close(); e != nil && err == nil {
				err = fmt.Errorf("close ledger: %w", e)
			}
		}()
		options.Ledger = file
	}
	s, err := New(options)
	if err != nil {
		return err
	}
	if o.Certificate != "" {
		if err := os.WriteFile(o.Certificate, s.CAPEM(), 0o644); err != nil {
			_ = s.Close() // the error to tell is the other one
			return fmt.Errorf("write certificate: %w", err)
		}
	}
	if o.ComputeAddr != "" {
		_, err = fmt.Fprintf(out, "compute %s\n", s.ComputeURL())
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "endpoint %s\n", s.URL())
	}
	if err != nil {
		_ = s.Close()
		return fmt.Errorf("print endpoint: %w", err)
	}
	<-ctx.Done()
	return s.Close()
}
