package cosmosfake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
)

// RunOptions of the program. Empty fields are left out or default as in Options.
type RunOptions struct {
	Addr           string
	ComputeAddr    string // of the second gateway; empty is none
	Certificate    string // file that receives what clients must trust
	TLSCert        string // file of the server's certificate, instead of one that is made
	TLSKey         string // file of its key
	Hosts          []string
	Key            string
	Ranges         int
	Region         string
	SecondRegion   string
	SecondAddr     string
	Dir            string // data directory
	Consistency    string
	Ledger         string // file to append the ledger to
	Retention      time.Duration
	Deletion       DeletionShape
	PreviousImages bool
	Session        SessionForm
	Scan           ScanOrder
	Seed           uint64
	Throughput     float64
	SplitBytes     int64
	PurgeEvery     time.Duration
}

// Run serves until ctx ends. It prints the endpoints to out once it listens, the first one last. Its errors name flags
// of the program.
func Run(ctx context.Context, o RunOptions, out io.Writer) error {
	err := run(ctx, o, out)
	var refused *optionError
	if errors.As(err, &refused) {
		return fmt.Errorf("-%s %w", flagOf(refused.option), refused.err)
	}
	return err
}

// flagOf is the program's name for an option: compute-addr for ComputeAddr.
func flagOf(option string) string {
	var name strings.Builder
	for i, r := range option {
		if unicode.IsUpper(r) && i > 0 {
			name.WriteByte('-')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}

func run(ctx context.Context, o RunOptions, out io.Writer) (err error) {
	options := Options{
		Addr: o.Addr, ComputeAddr: o.ComputeAddr, Hosts: o.Hosts, Region: o.Region, SecondRegion: o.SecondRegion, SecondAddr: o.SecondAddr,
		Dir: o.Dir, Consistency: o.Consistency, Key: o.Key, Ranges: o.Ranges,
		Retention: o.Retention, Deletion: o.Deletion, PreviousImages: o.PreviousImages, Session: o.Session, Scan: o.Scan, Seed: o.Seed, Throughput: o.Throughput, SplitBytes: o.SplitBytes, PurgeEvery: o.PurgeEvery,
	}
	if o.TLSCert != "" || o.TLSKey != "" {
		given, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return fmt.Errorf("-tls-cert and -tls-key go together: %w", err)
		}
		options.TLS = &given
	}
	if o.Dir != "" { // the ledger may be in it
		if err := prepareFolder(o.Dir); err != nil {
			return wrong("Dir", "cannot be used: %w", err)
		}
	}
	if o.Ledger != "" {
		file, err := os.OpenFile(o.Ledger, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return wrong("Ledger", "cannot be opened: %w", err)
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
			return wrong("Cert", "cannot be written: %w", err)
		}
	}
	if o.ComputeAddr != "" {
		_, err = fmt.Fprintf(out, "compute %s\n", s.ComputeURL())
	}
	if err == nil && o.SecondRegion != "" {
		_, err = fmt.Fprintf(out, "second %s\n", s.SecondURL())
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
