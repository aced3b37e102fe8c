package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// Options of a Stack.
type Options struct {
	Dir        string // everything lies below it; must exist
	Bin        string // folder of the programs
	Partitions int32  // of every topic
	Containers []Container
	Settings   Settings // over FastSettings
	// Broker is further broker settings.
	Broker map[string]string
	// Clock is the service's time; default time.Now.
	Clock func() time.Time
	// Brokers are those of a cluster that runs already; default: one in this process.
	Brokers []string
	// Store is where the archive lies when it lies in no folder.
	Store Store
}

// Store keeps an archive elsewhere than in a folder.
type Store interface {
	// Settings are its part of almanac.yaml.
	Settings() Settings
	// Read reads one object by its name below the archive's root; fs.ErrNotExist where there is none.
	Read(ctx context.Context, name string) ([]byte, error)
	// Copy makes a folder hold what the store holds.
	Copy(ctx context.Context, folder string) error
}

// restoredRanges is the number of physical ranges of a container that a restore makes.
const restoredRanges = 5

// Stack is the emulators, or what was given in their place, an empty archive and almanac.yaml. The caller starts the
// programs, and closes it.
type Stack struct {
	Dir     string
	Archive string // the archive's root; with a Store the folder to which Fetch copies it
	Ledger  string
	Config  string
	Logs    string
	Cosmos  *cosmosfake.Server
	Kafka   *kfake.Cluster // nil where brokers were given
	Account *Account

	options   Options
	ledger    *os.File
	client    *kgo.Client
	groups    *Groups
	admin     *kadm.Client
	processes []*Process
}

// New starts the emulators, makes topics and containers, and writes almanac.yaml.
func New(ctx context.Context, o Options) (*Stack, error) {
	s := &Stack{
		Dir: o.Dir, Archive: filepath.Join(o.Dir, "archive"), Ledger: filepath.Join(o.Dir, "ledger.jsonl"),
		Config: filepath.Join(o.Dir, "almanac.yaml"), Logs: filepath.Join(o.Dir, "logs"), options: o,
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start stack: %w", err), s.Close())
	}
	return s, nil
}

func (s *Stack) open(ctx context.Context) (err error) {
	for _, dir := range []string{s.Archive, s.Logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if s.ledger, err = os.OpenFile(s.Ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	if s.Cosmos, err = cosmosfake.New(cosmosfake.Options{Ledger: s.ledger, Ranges: restoredRanges, Clock: s.options.Clock}); err != nil {
		return err
	}
	certificate := filepath.Join(s.Dir, "emulator.pem")
	if err := os.WriteFile(certificate, s.Cosmos.CAPEM(), 0o644); err != nil {
		return err
	}
	s.Account = &Account{URL: s.Cosmos.URL(), Key: s.Cosmos.Key(), Client: s.Cosmos.Client()}
	if err := s.openKafka(ctx); err != nil {
		return err
	}
	store := Settings{"archive.root": s.Archive}
	if s.options.Store != nil {
		store = s.options.Store.Settings()
	}
	databases := map[string]bool{}
	for _, c := range s.options.Containers {
		if !databases[c.Database] {
			if err := s.Account.CreateDatabase(ctx, c.Database); err != nil {
				return err
			}
			databases[c.Database] = true
		}
		if err := s.Account.CreateContainer(ctx, c.Database, c.resource(), c.Ranges); err != nil {
			return err
		}
	}
	return writeConfig(s.Config, FastSettings().With(Settings{
		"cosmos.endpoint": s.Cosmos.URL(),
		"cosmos.key":      "{ env: COSMOS_KEY }",
		"cosmos.ca_file":  certificate,
		"cosmos.account":  "emulator",
		"kafka.brokers":   "[" + strings.Join(s.Brokers(), ", ") + "]",
		"service.listen":  "127.0.0.1:0",
		"compactor.spill": s.Dir,
		"restorer.spill":  s.Dir,
	}).With(store).With(s.options.Settings), s.options.Containers)
}

// Close kills what still runs and ends the emulators.
func (s *Stack) Close() error {
	for _, p := range s.processes {
		p.Kill()
	}
	var errs []error
	if s.admin != nil {
		s.admin.Close()
	}
	if s.groups != nil {
		s.groups.Close()
	}
	if s.Kafka != nil {
		s.Kafka.Close()
	}
	if s.Cosmos != nil {
		errs = append(errs, s.Cosmos.Close())
	}
	if s.ledger != nil {
		errs = append(errs, s.ledger.Close())
	}
	return errors.Join(errs...)
}

// Read reads an object of the archive; fs.ErrNotExist where there is none.
func (s *Stack) Read(ctx context.Context, name string) ([]byte, error) {
	if s.options.Store != nil {
		return s.options.Store.Read(ctx, name)
	}
	return os.ReadFile(filepath.Join(s.Archive, filepath.FromSlash(name)))
}

// Fetch makes the folder Archive hold what the archive holds, which it does anyway where that is a folder.
func (s *Stack) Fetch(ctx context.Context) error {
	if s.options.Store == nil {
		return nil
	}
	if err := s.options.Store.Copy(ctx, s.Archive); err != nil {
		return fmt.Errorf("fetch archive: %w", err)
	}
	return nil
}

func (s *Stack) environ(extra ...string) []string {
	env := append(os.Environ(), "ALMANAC_CONFIG="+s.Config, "COSMOS_KEY="+s.Cosmos.Key(), "NO_COLOR=1")
	return append(env, extra...)
}

func (s *Stack) binary(program string) string {
	return filepath.Join(s.options.Bin, "almanac-"+program)
}

// Spawn starts a program that runs until it is stopped. env is added to its environment.
func (s *Stack) Spawn(name, program string, args []string, env ...string) (*Process, error) {
	p := &Process{
		Name: name, Log: filepath.Join(s.Logs, name+".log"), program: s.binary(program), args: args,
		env: s.environ(env...), dir: s.Dir,
	}
	s.processes = append(s.processes, p)
	return p, p.Start()
}

// Process is the one that was spawned under the name.
func (s *Stack) Process(name string) *Process {
	for _, p := range s.processes {
		if p.Name == name {
			return p
		}
	}
	panic("no process " + name)
}

// Stop asks all processes to end, at once, and waits for them.
func (s *Stack) Stop(ctx context.Context) error {
	errs := make([]error, len(s.processes))
	var wg sync.WaitGroup
	for i, p := range s.processes {
		wg.Go(func() { errs[i] = p.Stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Run runs a program to its end. An exit code is no error of Run.
func (s *Stack) Run(ctx context.Context, program string, args ...string) (*Result, error) {
	return s.RunEnv(ctx, nil, program, args...)
}

// RunEnv is Run with more environment.
func (s *Stack) RunEnv(ctx context.Context, env []string, program string, args ...string) (*Result, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, s.binary(program), args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = s.Dir, s.environ(env...), &out, &errs, attributes()
	r := &Result{Args: append([]string{"almanac-" + program}, args...)}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	done := make(chan struct{})
	watched := make(chan int64)
	go func() { watched <- watchPeak(cmd.Process.Pid, done) }()
	err := cmd.Wait()
	close(done)
	r.PeakRSS = <-watched
	r.Took, r.Exit, r.Stdout, r.Stderr = time.Since(began), cmd.ProcessState.ExitCode(), out.Bytes(), errs.Bytes()
	if ctx.Err() != nil {
		return r, fmt.Errorf("run %s: %w: %s", strings.Join(r.Args, " "), ctx.Err(), tailOf(errs.String()))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return r, fmt.Errorf("run %s: %w", program, err)
	}
	return r, nil
}

// watchPeak looks at a process's peak memory until done; a program that ends takes its number with it.
func watchPeak(pid int, done chan struct{}) (peak int64) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if now, err := peakRSS(pid); err == nil {
			peak = max(peak, now)
		}
		select {
		case <-done:
			return peak
		case <-ticker.C:
		}
	}
}

func tailOf(text string) string { return text[max(0, len(text)-2000):] }

// Failed reports a process that ended by itself, with the end of its log.
func (s *Stack) Failed() error {
	for _, p := range s.processes {
		if !p.Running() && p.ExitCode() > 0 {
			return fmt.Errorf("%s ended with exit code %d:\n%s", p.Name, p.ExitCode(), p.Tail(12))
		}
	}
	return nil
}

// Tails are the ends of all logs, for a failure's report.
func (s *Stack) Tails(lines int) string {
	var b strings.Builder
	for _, p := range s.processes {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.Log, p.Tail(lines))
	}
	return b.String()
}
