package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs until it is stopped or killed. Its log is appended to one file over all its lives.
type Process struct {
	Name string
	Log  string // path

	program string
	args    []string
	env     []string
	dir     string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{} // closed when the present life has ended
	exit  int           // of the last life that ended by itself; -1 after a signal
	began int64         // size of the log when the present life began
}

// Start begins another life. It is an error while one goes on.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil && !closed(p.ended) {
		return fmt.Errorf("start %s: it runs already", p.Name)
	}
	log, err := os.OpenFile(p.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if info, err := log.Stat(); err == nil {
		p.began = info.Size()
	}
	cmd := exec.Command(p.program, p.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = p.dir, p.env, log, log, attributes()
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", p.Name, err), log.Close())
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its exit code is kept, an end by a signal is -1
		_ = log.Close()
		p.mu.Lock()
		p.exit = cmd.ProcessState.ExitCode()
		p.mu.Unlock()
	}()
	return nil
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (p *Process) life() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.ended
}

// Running reports whether a life goes on.
func (p *Process) Running() bool {
	_, ended := p.life()
	return ended != nil && !closed(ended)
}

// ExitCode is that of the last life that ended; -1 when a signal ended it.
func (p *Process) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// Kill ends the present life at once (kill -9) and waits for its end.
func (p *Process) Kill() {
	cmd, ended := p.life()
	if cmd == nil || closed(ended) {
		return
	}
	_ = cmd.Process.Kill() // an error means that it has ended
	<-ended
}

// Stop asks for the end (SIGTERM) and waits for it; when the context ends first it kills, after the process had a moment
// to write down what it was doing (SIGQUIT: the Go runtime dumps all goroutines into the log).
func (p *Process) Stop(ctx context.Context) error {
	cmd, ended := p.life()
	if cmd == nil || closed(ended) {
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-ended:
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			p.Kill()
		}
		return fmt.Errorf("stop %s: it had to be killed: %w", p.Name, ctx.Err())
	}
	if code := p.ExitCode(); code != 0 {
		return fmt.Errorf("stop %s: it ended with exit code %d", p.Name, code)
	}
	return nil
}

// Restart kills and starts again.
func (p *Process) Restart() error {
	p.Kill()
	return p.Start()
}

// Pause stops the present life where it is (SIGSTOP): it keeps memory and connections and does nothing.
func (p *Process) Pause() error { return p.signal("pause", syscall.SIGSTOP) }

// Continue lets a paused life go on (SIGCONT).
func (p *Process) Continue() error { return p.signal("continue", syscall.SIGCONT) }

func (p *Process) signal(verb string, signal syscall.Signal) error {
	cmd, ended := p.life()
	if cmd == nil || closed(ended) {
		return fmt.Errorf("%s %s: %w", verb, p.Name, os.ErrProcessDone)
	}
	if err := cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("%s %s: %w", verb, p.Name, err)
	}
	return nil
}

// PeakRSS is the greatest resident memory of the present life so far, in bytes.
func (p *Process) PeakRSS() (int64, error) {
	cmd, ended := p.life()
	if cmd == nil || closed(ended) {
		return 0, fmt.Errorf("read peak memory of %s: %w", p.Name, os.ErrProcessDone)
	}
	return peakRSS(cmd.Process.Pid)
}

// Addr waits for the address of the process's metrics, which it logs once it listens.
func (p *Process) Addr(ctx context.Context) (addr string, err error) {
	err = Until(ctx, "the address of "+p.Name, func() (string, error) {
		if !p.Running() {
			return "", fmt.Errorf("it ended: %s", p.Tail(5))
		}
		text, err := p.said()
		if err != nil {
			return "", err
		}
		_, after, ok := strings.Cut(text[max(0, strings.LastIndex(text, "listening")):], "addr=")
		if !ok {
			return "it is not in " + p.Log, nil
		}
		addr, _, _ = strings.Cut(after, "\n")
		addr, _, _ = strings.Cut(addr, " ")
		return "", nil
	})
	return addr, err
}

// said is what the present life logged so far.
func (p *Process) said() (string, error) {
	p.mu.Lock()
	began := p.began
	p.mu.Unlock()
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	return string(text[min(began, int64(len(text))):]), nil
}

// Tail is the end of the log, for a person who looks for the cause of something.
func (p *Process) Tail(lines int) string { return tail(p.Log, lines) }

func tail(path string, lines int) string {
	const most = 64 << 10
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }() // only read
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Result is what a program said that ran to its end.
type Result struct {
	Args    []string
	Exit    int
	Stdout  []byte
	Stderr  []byte
	Took    time.Duration
	PeakRSS int64 // in bytes; 0 where it cannot be known
}

// Err is nil for exit code 0, else what the program said.
func (r *Result) Err() error {
	if r.Exit == 0 {
		return nil
	}
	return fmt.Errorf("%s: exit code %d: %s", strings.Join(r.Args, " "), r.Exit, strings.TrimSpace(string(r.Stderr)+string(r.Stdout)))
}
