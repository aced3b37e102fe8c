// Package peer runs what a benchmark compares in processes of their own, so that processor time and memory are each one's
// own. What serves them all (Cosmos DB, Kafka) stays in the process of the benchmark and is in no figure.
//
// Nouns:
//
//   - A role is something that the benchmark's own binary can run as: a program of Almanac, or the loop that anybody
//     would write over the same libraries.
//   - A [Usage] is what one process took from its start to its end.
//   - A [Comparison] prints usages side by side, as ratios to Almanac's.
package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const variable = "ALMANAC_BENCH_ROLE"

// Main runs the role that the environment asks for, or the tests.
func Main(m *testing.M, roles map[string]func(ctx context.Context, args []string) error) {
	name := os.Getenv(variable)
	if name == "" {
		os.Exit(m.Run())
	}
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no role %q\n", name)
		os.Exit(2)
	}
	if err := role(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Role is the benchmark's binary in a role.
func Role(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, args...)
	command.Env = append(os.Environ(), variable+"="+name)
	return command, nil
}

// Trusting is a client for endpoints whose certificate the authorities in the PEM file signed.
func Trusting(authorities string) (*http.Client, error) {
	text, err := os.ReadFile(authorities)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read %s: no certificate", authorities)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100,
	}}, nil
}

// Usage of one process, or the sum of several runs of it. PeakRSS is in bytes, the greatest of the runs.
type Usage struct {
	Wall      time.Duration
	Processor time.Duration
	PeakRSS   int64
}

// Add counts another run.
func (u *Usage) Add(run Usage) {
	u.Wall += run.Wall
	u.Processor += run.Processor
	u.PeakRSS = max(u.PeakRSS, run.PeakRSS)
}

// Run runs a command until it ends, or until done reports true: then it is asked to stop. A done of nil waits for the end.
func Run(command *exec.Cmd, done func() (bool, error)) (Usage, error) {
	output, err := os.CreateTemp("", "almanac-bench-")
	if err != nil {
		return Usage{}, err
	}
	defer func() { _, _ = output.Close(), os.Remove(output.Name()) }()
	command.Stdout, command.Stderr = output, output
	began := time.Now()
	if err := command.Start(); err != nil {
		return Usage{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	peak := int64(0)
	finished, err := await(ended, func() (bool, error) {
		peak = max(peak, peakRSS(command.Process.Pid))
		if done == nil {
			return false, nil
		}
		return done()
	})
	if finished && done != nil && err == nil {
		err = errors.New("ended before its work was done")
	}
	if !finished { // it goes on, as a service does
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile; then Wait says how
		if stopped := <-ended; err == nil {
			err = stopped
		}
	}
	wall := time.Since(began)
	if err != nil {
		said, _ := os.ReadFile(output.Name()) //nolint:errcheck // the command's error is the news
		return Usage{}, fmt.Errorf("%s: %w\n%s", command.Path, err, said)
	}
	state := command.ProcessState
	return Usage{Wall: wall, Processor: state.UserTime() + state.SystemTime(), PeakRSS: peak}, nil
}

// await returns when the command has ended, when it is done or when nobody can tell.
func await(ended <-chan error, done func() (bool, error)) (finished bool, err error) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return true, err
		case <-ticker.C:
			if reached, err := done(); reached || err != nil {
				return false, err
			}
		}
	}
}

// peakRSS is the greatest memory of a process so far, 0 where the kernel does not tell. What wait4 tells is no use: it
// counts the parent's memory before exec.
func peakRSS(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kib, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// Comparison of what several did with the same input. The first is Almanac.
type Comparison struct {
	first float64 // records per second of processor time
}

// Report adds the figures of n runs to a benchmark: rates per core, cores kept busy, peak memory and, from the second on,
// how many times as fast per core Almanac was.
func (c *Comparison) Report(b *testing.B, u Usage, n int, records, bytes int64) {
	b.Helper()
	rate := float64(records) * float64(n) / u.Processor.Seconds()
	b.ReportMetric(float64(bytes)*float64(n)/1e6/u.Processor.Seconds(), "MB/s/core")
	b.ReportMetric(rate, "records/s/core")
	b.ReportMetric(float64(records)*float64(n)/u.Wall.Seconds(), "records/s")
	b.ReportMetric(u.Processor.Seconds()/u.Wall.Seconds(), "cores")
	b.ReportMetric(float64(u.PeakRSS)/(1<<20), "peak-MiB")
	if c.first == 0 {
		c.first = rate
		return
	}
	b.ReportMetric(c.first/rate, "almanac/this")
}
