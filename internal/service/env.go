package service

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// Env is what the frame hands to a command. It belongs to one Run.
type Env struct {
	Program  string
	Config   *config.Config
	Log      *slog.Logger
	Registry *prometheus.Registry // not the default one; holds Go, process and build already
	Health   *Health
	In       io.Reader
	Out      io.Writer // results, and nothing else
	Err      io.Writer // what is for people beside the log: progress
	Output   Format    // -o
	Color    bool      // Out is a terminal, and NO_COLOR is not set

	served atomic.Bool // a server's errors go to its log
}

// Print writes a result in the format that was asked for.
func (e *Env) Print(value any, text func(io.Writer) error) error {
	return printAs(e.Output, e.Out, value, text)
}

func printAs(format Format, out io.Writer, value any, text func(io.Writer) error) error {
	if format != JSON {
		return text(out)
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}

func open(program Program, cli *grammar, environ []string, streams Streams) (*Env, error) {
	cfg, err := cli.load(environ)
	if err != nil {
		return nil, err
	}
	log, err := newLogger(cfg.Service, streams.Err)
	if err != nil {
		return nil, Usage(err)
	}
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "almanac_build_info",
		Help:        "1, with the program and its version as labels.",
		ConstLabels: prometheus.Labels{"program": program.Name, "version": version().Version},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Env{
		Program:  program.Name,
		Config:   cfg,
		Log:      log,
		Registry: registry,
		Health:   &Health{},
		In:       streams.In,
		Out:      streams.Out,
		Err:      streams.Err,
		Output:   cli.Output,
		Color:    isTerminal(streams.Out) && lookup(environ, "NO_COLOR") == "",
	}, nil
}

func newLogger(cfg config.Service, out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return nil, fmt.Errorf("read service.log_level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "text" || (cfg.LogFormat == "" && isTerminal(out)) {
		return slog.New(slog.NewTextHandler(out, options)), nil
	}
	options.ReplaceAttr = inSeconds
	return slog.New(slog.NewJSONHandler(out, options)), nil
}

// inSeconds names the unit of durations, which JSON would hold as a bare number of nanoseconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_seconds", a.Value.Duration().Seconds())
	}
	return a
}

func isTerminal(stream io.Writer) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// build is what `version` prints.
type build struct {
	Program  string `json:"program,omitempty"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func version() build {
	out := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	if info.Main.Version != "" {
		out.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			out.Revision = setting.Value
		}
	}
	return out
}

func printVersion(program Program, format Format, out io.Writer) error {
	it := version()
	it.Program = program.Name
	return printAs(format, out, it, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %s %s %s\n", it.Program, it.Version, it.Go, it.Platform)
		return err
	})
}
