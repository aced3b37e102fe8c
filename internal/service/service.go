// Package service is the process frame that all four programs share: command
// line, configuration, log, metrics, health, signals and exit codes.
//
// Nouns. A Program is a name, its commands and its examples. A command is a
// kong struct with a method `Run(context.Context, *Env) error`. An Env is what
// the frame hands to a command: configuration, log, registry, streams.
//
// Guarantees. Run holds no state outside its arguments: any program can run
// many times, also at once, in one process. Only Main touches the process
// (arguments, environment, signals, exit); only this package and main read
// flags and environment. The exit code is a function of the returned error
// (see ExitCode). After its context is cancelled a command has
// service.shutdown_grace to return; then Run returns Retryable without it.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// Program is one of the binaries.
type Program struct {
	Name  string // almanac-archiver
	About string // one or two sentences
	// Commands returns a pointer to a new kong struct; it is called once per Run,
	// because kong writes what it parsed into the struct. A command that goes on
	// until it is stopped returns nil when its context is done; one that was to
	// finish something returns the context's error.
	Commands func() any
	Examples []Example // at least two; the help of a command shows its own
}

// Example is a command line that works as it stands.
type Example struct {
	Line  string // "almanac-restorer points -o json"
	About string // what it does
}

// Main runs the program as this process: it never returns. SIGINT and SIGTERM
// cancel the command's context; the second one ends the process at once.
func Main(program Program) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(fmt.Errorf("signal: %v", <-signals))
		<-signals
		os.Exit(Retryable)
	}()
	os.Exit(Run(ctx, program, os.Args[1:], os.Environ(), Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// Streams are a program's three standard streams.
type Streams struct {
	In  io.Reader
	Out io.Writer // results, and nothing else
	Err io.Writer // log and errors
}

// Run runs the program with these arguments, this environment (as os.Environ
// gives it) and these streams, and returns its exit code. Without arguments it
// prints its help on Err, which is BadUsage. Cancelling ctx is
// what a first signal is. When the grace runs out the command's goroutine is
// left behind: the caller is expected to end the process.
func Run(ctx context.Context, program Program, args, environ []string, streams Streams) int {
	code := Done
	switch { // kong knows of neither
	case len(args) == 0:
		args, code, streams.Out = []string{"--help"}, BadUsage, streams.Err
	case slices.Contains(args, "--version"):
		args = slices.Clone(args)
		args[slices.Index(args, "--version")] = "version"
	}
	cli := newGrammar(program)
	helped := false
	parser, err := kong.New(cli,
		kong.Name(program.Name),
		kong.Description(program.About),
		kong.Writers(streams.Out, streams.Err),
		kong.Exit(func(int) { helped = true }), // kong calls it after --help, and goes on
		kong.Help(program.help),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
	)
	if err != nil {
		return report(program, streams, fmt.Errorf("build command line: %w", err))
	}
	command, err := parser.Parse(joined(args))
	if helped {
		return code
	}
	if err != nil {
		text := strings.Replace(err.Error(), `expected string value but got "EOL" (<EOL>)`, "a value is missing", 1)
		return report(program, streams, Usage(fmt.Errorf("%s; see %s --help", text, program.Name)))
	}
	if command.Command() == "version" { // needs no configuration
		return report(program, streams, printVersion(program, cli.Output, streams.Out))
	}
	env, err := open(program, cli, environ, streams)
	if err != nil {
		return report(program, streams, err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(env)
	err = withGrace(ctx, env, func() error { return command.Run() })
	var detailed interface{ Detail() string }
	if errors.As(err, &detailed) && detailed.Detail() != "" {
		env.Log.Debug("details of the error", "detail", detailed.Detail())
	}
	switch served := env.served.Load(); {
	case served && err != nil:
		env.Log.Error("stopped", "error", err.Error(), "exit", ExitCode(err))
		return ExitCode(err)
	case served:
		env.Log.Info("stopped", "exit", Done)
	}
	return report(program, streams, Refused(err))
}

// report prints the error of a command line as one line.
func report(program Program, streams Streams, err error) int {
	if err != nil {
		_, _ = fmt.Fprintf(streams.Err, "%s: %v\n", program.Name, err) // nowhere else to say it
	}
	return ExitCode(err)
}

// withGrace runs the command and, once ctx is cancelled, waits for it no longer
// than service.shutdown_grace.
func withGrace(ctx context.Context, env *Env, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace := env.Config.Service.ShutdownGrace
	if env.served.Load() {
		env.Log.Info("stopping", "cause", context.Cause(ctx).Error(), "grace", grace)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		return err
	case <-timer.C:
		return fmt.Errorf("not stopped within service.shutdown_grace, %v; the next start goes on from what was saved", grace)
	}
}
