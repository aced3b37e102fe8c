package service_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/service"
)

// asToy makes the test binary be the toy program, for signals and exit codes.
const asToy = "SERVICE_TEST_TOY"

func TestMain(m *testing.M) {
	if os.Getenv(asToy) != "" {
		service.Main(toy())
	}
	os.Exit(m.Run())
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "almanac.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs the toy in this process.
func run(ctx context.Context, t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = service.Run(ctx, toy(), args, environ, service.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	config := "ALMANAC_CONFIG=" + configFile(t, "")
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"done", []string{"greet", "--to", "x"}, 0, ""},
		{"retryable", []string{"fail", "other"}, 1, "almanac-toy: the toy broke\n"},
		{"usage", []string{"fail", "usage"}, 2, "almanac-toy: the toy broke\n"},
		{"halt", []string{"fail", "halt"}, 3, "almanac-toy: the toy broke\n"},
		{"halt of a package that does not know service", []string{"fail", "foreign"}, 3, "almanac-toy: fold: the toy broke\n"},
		{"different", []string{"fail", "differ"}, 4, "almanac-toy: verify: the toy broke\n"},
		{"no command", []string{"nothing"}, 2, "unexpected argument nothing"},
		{"unknown flag", []string{"greet", "--tu", "x"}, 2, "unknown flag --tu, did you mean \"--to\"?"},
		{"missing flag", []string{"greet"}, 2, "missing flags: --to=STRING"},
		{"flag without its value", []string{"greet", "--to", "x", "--archive-root"}, 2, "almanac-toy: --archive-root: a value is missing; see almanac-toy --help\n"},
		{"unknown format", []string{"greet", "--to", "x", "-o", "xml"}, 2, "must be one of"},
		{"missing file", []string{"greet", "--to", "x", "--config", "absent.yaml"}, 2, "open absent.yaml: no such file or directory; name the file with --config"},
		{"flag out of limits", []string{"run", "--kafka-session-timeout", "1ms"}, 2, "--kafka-session-timeout: kafka.session_timeout: 1ms is below the least, 500ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, _, stderr := run(t.Context(), t, []string{config}, test.args...)
			if code != test.code || !strings.Contains(stderr, test.stderr) || (test.stderr == "") != (stderr == "") {
				t.Errorf("got %d %q want %d %q", code, stderr, test.code, test.stderr)
			}
		})
	}
}

func TestInterruptedJobIsNotDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("signal: terminated"))
	code, _, stderr := run(ctx, t, []string{"ALMANAC_CONFIG=" + configFile(t, "")}, "fail", "wait")
	if want := "almanac-toy: interrupted: signal: terminated\n"; code != 1 || stderr != want {
		t.Errorf("got %d %q want 1 %q", code, stderr, want)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"greet", "--help"}, {"greet", "-h"}} {
		code, out, stderr := run(t.Context(), t, nil, args...)
		if len(args) == 0 { // no command is bad usage
			if code != 2 || out != "" {
				t.Errorf("no command: got %d and %q on standard output want 2 and nothing", code, out)
			}
			out, code, stderr = stderr, 0, ""
		}
		if code != 0 || stderr != "" {
			t.Errorf("%v: got %d %q want 0 and nothing", args, code, stderr)
		}
		for _, want := range []string{"Examples:", "almanac-toy run --service-listen :9090", "almanac-toy greet --to world", "Exit codes:", "  4  compared", "--config=FILE", "almanac-toy config print"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: got %q want it to contain %q", args, out, want)
			}
		}
	}
}

func TestVersionNeedsNoConfiguration(t *testing.T) {
	for _, args := range [][]string{{"version", "-o", "json"}, {"--version", "-o", "json"}, {"-o", "json", "--version"}} {
		code, out, stderr := run(t.Context(), t, nil, args...)
		var got map[string]string
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got["program"] != "almanac-toy" || got["go"] == "" {
			t.Errorf("%v: got %d %q %q (%v) want 0 and program and go", args, code, out, stderr, err)
		}
	}
}

func TestConfigPrintNamesOrigins(t *testing.T) {
	path := configFile(t, "cosmos: {key: s3cr3t}\nkafka:\n  topic_prefix: sky\n")
	environ := []string{"ALMANAC_CONFIG=" + path, "ALMANAC_ARCHIVER_FLUSH_BYTES=1MiB"}
	code, out, stderr := run(t.Context(), t, environ, "config", "print", "--service-log-level=warn")
	if code != 0 || stderr != "" || strings.Contains(out, "s3cr3t") {
		t.Fatalf("got %d %q %q want 0 and the secret masked", code, out, stderr)
	}
	for _, want := range []string{
		`key: "***" # ` + path + ":1",
		`topic_prefix: "sky" # ` + path + ":3",
		"flush_bytes: 1MiB # environment ALMANAC_ARCHIVER_FLUSH_BYTES",
		`log_level: "warn" # --service-log-level`,
		"# Silence after which a group member is taken for dead. 500ms to 30m. session_timeout: 45s # default",
		"# Format of the log; default: text on a terminal, json elsewhere. text, json. log_format:",
		"# deletes: How the application deletes documents: none",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("got %q want it to contain %q", out, want)
		}
	}
	code, out, _ = run(t.Context(), t, environ, "config", "print", "-o", "json")
	var got struct {
		Config  map[string]map[string]any
		Origins map[string]string
	}
	decoder := json.NewDecoder(strings.NewReader(strings.Replace(out, `"containers": []`, `"containers": {}`, 1)))
	if err := decoder.Decode(&got); err != nil || code != 0 {
		t.Fatalf("got %v (exit %d) for %q want JSON", err, code, out)
	}
	if got.Config["archiver"]["flush_bytes"] != "1MiB" || got.Origins["kafka.topic_prefix"] != path+":3" || got.Config["cosmos"]["key"] != "***" {
		t.Errorf("got %v want 1MiB, %s:3 and ***", got, path)
	}
}

// syncBuffer lets a test read what a running program has written so far.
type syncBuffer struct {
	mu    sync.Mutex
	lines chan string
	rest  []byte
}

func newSyncBuffer() *syncBuffer { return &syncBuffer{lines: make(chan string, 1000)} }

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest = append(b.rest, p...)
	for {
		line, rest, ok := bytes.Cut(b.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		b.lines <- string(line)
		b.rest = rest
	}
}

// logged waits for the log line with this message.
func logged(t *testing.T, lines <-chan string, message string) map[string]any {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("got the end of the log want %q", message)
			}
			var record map[string]any
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatalf("got log line %q want JSON", line)
			}
			if record["msg"] == message {
				return record
			}
		case <-deadline:
			t.Fatalf("got no %q in the log within 20 s", message)
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestManyProgramsInOneProcess runs servers side by side, asks each for its
// metrics and stops them.
func TestManyProgramsInOneProcess(t *testing.T) {
	environ := []string{"ALMANAC_CONFIG=" + configFile(t, "service: {listen: 127.0.0.1:0}\n")}
	var group sync.WaitGroup
	for range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			log := newSyncBuffer()
			done := make(chan int, 1)
			var out bytes.Buffer
			go func() {
				done <- service.Run(ctx, toy(), []string{"run"}, environ, service.Streams{Out: &out, Err: log})
			}()
			addr := logged(t, log.lines, "listening")["addr"]
			for path, want := range map[string]string{"metrics": "almanac_build_info{program=\"almanac-toy\"", "healthz": "ok", "readyz": "toy: ok"} {
				if code, text := get(t, fmt.Sprintf("http://%v/%s", addr, path)); code != http.StatusOK || !strings.Contains(text, want) {
					t.Errorf("/%s: got %d %q want 200 and %q", path, code, text, want)
				}
			}
			cancel()
			if code := <-done; code != 0 || out.Len() != 0 {
				t.Errorf("got exit %d and %q want 0 and nothing on standard output", code, out.String())
			}
		}()
	}
	group.Wait()
}

// TestStoppedBeforeItBegan: a server that is stopped before it listens is done, as at any other moment.
func TestStoppedBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("signal"))
	for _, listen := range []string{"", "localhost:0"} {
		environ := []string{"ALMANAC_CONFIG=" + configFile(t, fmt.Sprintf("service: {listen: %q}\n", listen))}
		if code, _, stderr := run(ctx, t, environ, "run"); code != 0 {
			t.Errorf("listen %q: got exit %d want 0\n%s", listen, code, stderr)
		}
	}
}

// TestDurationsInLogs have a unit in either format.
func TestDurationsInLogs(t *testing.T) {
	for format, want := range map[string]string{"text": " grace=15ms", "json": `,"grace_seconds":0.015}`} {
		ctx, cancel := context.WithCancelCause(t.Context())
		log := newSyncBuffer()
		done := make(chan int, 1)
		environ := []string{"ALMANAC_CONFIG=" + configFile(t, "service: {shutdown_grace: 15ms, log_format: "+format+"}\n")}
		go func() {
			done <- service.Run(ctx, toy(), []string{"run", "--deaf"}, environ, service.Streams{Out: io.Discard, Err: log})
		}()
		first := <-log.lines
		cancel(errors.New("enough"))
		if <-done; !strings.Contains(first, "starting") {
			t.Errorf("%s: got %s want that it starts", format, first)
		}
		if got := <-log.lines; !strings.Contains(got, "stopping") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %s want %s at its end", format, got, want)
		}
	}
}

func TestReadiness(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	environ := []string{"ALMANAC_CONFIG=" + configFile(t, "service: {listen: 127.0.0.1:0}\n")}
	program := toy()
	program.Commands = func() any { return &sickCommands{} }
	log := newSyncBuffer()
	done := make(chan int, 1)
	go func() {
		done <- service.Run(ctx, program, []string{"sick"}, environ, service.Streams{Out: io.Discard, Err: log})
	}()
	addr := logged(t, log.lines, "listening")["addr"]
	logged(t, log.lines, "reported")
	code, text := get(t, fmt.Sprintf("http://%v/readyz", addr))
	if want := "archive: read-only\nkafka: ok\n"; code != http.StatusServiceUnavailable || text != want {
		t.Errorf("got %d %q want 503 %q", code, text, want)
	}
	cancel()
	<-done
}

type sickCommands struct {
	Sick sickCommand `cmd:""`
}

type sickCommand struct{}

func (sickCommand) Run(ctx context.Context, env *service.Env) error {
	return env.Serve(ctx, func(ctx context.Context) error {
		env.Health.Report("kafka", nil)
		env.Health.Report("archive", errors.New("read-only"))
		env.Log.Info("reported")
		<-ctx.Done()
		return nil
	})
}

// start runs the toy as a process of its own and returns the lines of its log.
func start(t *testing.T, args ...string) (*exec.Cmd, <-chan string) {
	t.Helper()
	command := exec.Command(os.Args[0], args...)
	command.Env = append(os.Environ(), asToy+"=1", "ALMANAC_CONFIG="+configFile(t, "service: {shutdown_grace: 10m}\n"))
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() }) // most have ended
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(stderr)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	return command, lines
}

func TestSignals(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    []string
		signals []os.Signal
		code    int
	}{
		{"terminate", []string{"run"}, []os.Signal{syscall.SIGTERM}, 0},
		{"interrupt", []string{"run"}, []os.Signal{syscall.SIGINT}, 0},
		{"second signal ends a program that does not stop", []string{"run", "--deaf"}, []os.Signal{syscall.SIGTERM, syscall.SIGINT}, 1},
		{"grace ends a program that does not stop", []string{"run", "--deaf", "--service-shutdown-grace", "20ms"}, []os.Signal{syscall.SIGTERM}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			command, lines := start(t, test.args...)
			logged(t, lines, "starting")
			for i, signal := range test.signals {
				if err := command.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				if i+1 < len(test.signals) {
					logged(t, lines, "stopping")
				}
			}
			if test.code == 0 { // one that does not stop has nobody left to say so
				if end := logged(t, lines, "stopped"); end["level"] != "INFO" || end["exit"] != 0.0 {
					t.Errorf("got %v want that it stopped in good order", end)
				}
			}
			for range lines { // to the end, before Wait closes the pipe
			}
			_ = command.Wait() // its exit code says it all
			if got := command.ProcessState.ExitCode(); got != test.code {
				t.Errorf("got exit %d want %d", got, test.code)
			}
		})
	}
}

func TestWord(t *testing.T) {
	for text, want := range map[string]string{
		"shop.orders-2_b": "shop.orders-2_b", "shop.my container": "'shop.my container'", "shop.größe": "'shop.größe'",
		"shop.it's $HOME": `'shop.it'\''s $HOME'`,
	} {
		if got := service.Word(text); got != want {
			t.Errorf("got %s want %s", got, want)
		}
	}
}
