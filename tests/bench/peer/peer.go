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
	"fmt"
	"os"
	"os/exec"
	"runtime"
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
	finished, err := await(ended, done)
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
	return Usage{Wall: wall, Processor: state.UserTime() + state.SystemTime(), PeakRSS: peak(state)}, nil
}

// await returns when the command has ended, when it is done or when nobody can tell.
func await(ended <-chan error, done func() (bool, error)) (finished bool, err error) {
	if done == nil {
		return true, <-ended
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return true, fmt.Errorf("ended before its work was done: %w", err)
		case <-ticker.C:
			if reached, err := done(); reached || err != nil {
				return false, err
			}
		}
	}
}

func peak(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss << 10 // Linux counts in KiB
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
