package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cosmos-almanac/almanac/internal/service"
)

// toy is a whole program: this, and a main that calls service.Main(toy()).
func toy() service.Program {
	return service.Program{
		Name:     "almanac-toy",
		About:    "Shows what a program is made of.",
		Commands: func() any { return new(toyCommands) },
		Examples: []service.Example{
			{Line: "almanac-toy run --service-listen :9090", About: "wait until stopped"},
			{Line: "almanac-toy greet --to world -o json", About: "print a greeting"},
		},
	}
}

type toyCommands struct {
	Run   toyRun   `cmd:"" help:"Wait until stopped."`
	Greet toyGreet `cmd:"" help:"Print a greeting."`
	Fail  toyFail  `cmd:"" help:"End with an error."`
}

type toyRun struct {
	Deaf bool `help:"Do not stop when asked to."`
}

func (c *toyRun) Run(ctx context.Context, env *service.Env) error {
	return env.Serve(ctx, func(ctx context.Context) error {
		env.Health.Report("toy", nil)
		if c.Deaf {
			select {}
		}
		<-ctx.Done()
		return nil
	})
}

type toyGreet struct {
	To string `required:"" help:"Who."`
}

func (c *toyGreet) Run(env *service.Env) error {
	greeting := map[string]string{"greeting": "hello " + c.To, "topic": env.Config.Kafka.TopicPrefix}
	return env.Print(greeting, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, greeting["greeting"])
		return err
	})
}

type toyFail struct {
	How string `arg:"" help:"usage, halt, differ, wait or other."`
}

// foreign is an error of a package that does not know service.
type foreign struct{ error }

func (foreign) ExitCode() int { return 3 }

func (c *toyFail) Run(ctx context.Context) error {
	err := errors.New("the toy broke")
	switch c.How {
	case "usage":
		return service.Usage(err)
	case "halt":
		return service.Halt(err)
	case "differ":
		return fmt.Errorf("verify: %w", service.Differ(err))
	case "foreign":
		return fmt.Errorf("fold: %w", foreign{err})
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func Example() {
	folder, err := os.MkdirTemp("", "toy")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "almanac.yaml")
	if err := os.WriteFile(file, []byte("kafka: {topic_prefix: sky}\n"), 0o600); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	streams := service.Streams{Out: os.Stdout, Err: os.Stdout}
	fmt.Println(service.Run(ctx, toy(), []string{"greet", "--to", "world", "-o", "json"}, []string{"ALMANAC_CONFIG=" + file}, streams))
	fmt.Println(service.Run(ctx, toy(), []string{"greet", "--to", "world", "--config", file, "--service-log-levle", "info"}, nil, streams))
	// Output:
	// {
	//   "greeting": "hello world",
	//   "topic": "sky"
	// }
	// 0
	// almanac-toy: unknown flag --service-log-levle, did you mean "--service-log-level"?; see almanac-toy --help
	// 2
}
