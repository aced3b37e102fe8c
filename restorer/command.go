package restorer

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/sleep"
)

// Program is almanac-restorer.
func Program() service.Program {
	return service.Program{
		Name:     "almanac-restorer",
		About:    "Gives back moments of a Cosmos DB container from an Almanac archive.",
		Commands: func() any { return new(commands) },
		Examples: []service.Example{
			{Line: "almanac-restorer points --container shop.products", About: "list the moments that can be restored"},
			{Line: "almanac-restorer points --last 0 -o json", About: "all of them, for a program"},
			{Line: "almanac-restorer plan --before 2026-11-20T10:15:00Z --to shop.products-before", About: "print what a restore would do"},
			{Line: "almanac-restorer plan --at 20261120T101459.999Z-1a2b3c4d -o json", About: "print it for a program"},
			{Line: "almanac-restorer run --before 2026-11-20T10:15:00Z --to shop.products-before", About: "restore to just before a bad deployment"},
			{Line: "almanac-restorer run --at 20261120T101459.999Z-1a2b3c4d", About: "restore a point into a container named after it"},
			{Line: "almanac-restorer verify --at 20261120T101459.999Z-1a2b3c4d --to shop.products-before", About: "prove that a restored container is right"},
			{Line: "almanac-restorer verify --at 20261120T101459.999Z-1a2b3c4d", About: "the same of the container named after the point"},
			{Line: "almanac-restorer verify --before 2026-11-20T10:15:00Z --to shop.products", About: "list what changed since"},
			{Line: `almanac-restorer get --partition-key '["eu"]' --id p-42 --before 2026-11-20T10:15:00Z > p-42.json`, About: "one document as it was, byte for byte"},
			{Line: `almanac-restorer get --partition-key '["eu",7]' --id p-42 --at 20261120T101459.999Z-1a2b3c4d -o json`, About: "the same with when it was written"},
			{Line: "almanac-restorer check", About: "try everything that a restore needs, before it is needed"},
			{Line: "almanac-restorer check -o json", About: "the same, for a program"},
			{Line: "almanac-restorer status", About: "show until when each container can be restored"},
			{Line: "almanac-restorer status -o json", About: "the same, for a program"},
			{Line: `almanac-restorer history --partition-key '["eu"]' --id p-42`, About: "all versions of one document"},
			{Line: `almanac-restorer history --partition-key '[{}]' --id p-42 -o json`, About: "of one without the key property"},
		},
	}
}

type commands struct {
	Points  pointsCommand  `cmd:"" help:"List the restore points, what they are worth, and why there is no later one yet."`
	Plan    planCommand    `cmd:"" help:"Print what a restore would do, and write nothing."`
	Run     runCommand     `cmd:"" help:"Restore a moment into a new container. The same command goes on after a kill. A target that exists is used only while every document in it is one that this restore writes."`
	Verify  verifyCommand  `cmd:"" help:"Compare every document of a container with a moment of the archive, by hash. Exit code 4: they differ, be it in one byte. With deletes: soft, a document that only the container has and that is deleted there is an extra all the same, listed as \"extra, deleted softly\"."`
	Get     getCommand     `cmd:"" help:"Print one document as it was, byte for byte, without the service's own properties. Exit code 4: there was none at that moment."`
	Check   checkCommand   `cmd:"" help:"Try everything that a restore needs: archive, account, permission to write, folder of spilled runs. Exit code 2: something must be mended; 1: something did not answer."`
	Status  statusCommand  `cmd:"" help:"Show until when each container can be restored, and why not to a later moment."`
	History historyCommand `cmd:"" help:"List all versions of one document that the archive holds. Exit code 4: there is none."`
}

type source struct {
	Container string `placeholder:"DATABASE.CONTAINER" help:"The container whose archive is read; default: the only one of almanac.yaml."`
}

type pointsCommand struct {
	source
	Last int `default:"20" help:"Show only so many of the newest points; 0: all."`
}

// Help explains the columns.
func (c *pointsCommand) Help() string {
	return "Nothing in a point is later than LATEST, and no range in it stands before EARLIEST; every write that was acknowledged before COMPLETE TO is in it.\n" +
		"`restorable until` is COMPLETE TO of the newest exact point. The name of one that `may still move` can change until every range has a later mark."
}

// Run lists the restore points.
func (c *pointsCommand) Run(ctx context.Context, env *service.Env) error {
	if c.Last < 0 {
		return usage("--last is %d, want 0 or more", c.Last)
	}
	s, err := open(ctx, env, c.Container)
	if err != nil {
		return err
	}
	t, err := s.timeline(ctx)
	if err != nil {
		return err
	}
	pending, err := s.pending(ctx, t, time.Now())
	if err != nil {
		return err
	}
	view := viewTimeline(s.container.Name(), s.container.Topic, s.rules, t, pending, c.Last)
	return env.Print(view, view.write)
}

type planCommand struct {
	source
	moment
	To string `placeholder:"DATABASE.CONTAINER" help:"The container to make; default: <container>-restored-<the point's time>, in the source's database, which must exist. To give it throughput or other ranges, make it yourself, empty and with the same partition key."`
}

// Run prints the plan.
func (c *planCommand) Run(ctx context.Context, env *service.Env) error {
	s, err := open(ctx, env, c.Container)
	if err != nil {
		return err
	}
	client, err := s.reader()
	if err != nil {
		return err
	}
	defer client.Close()
	plan, _, _, err := s.plan(ctx, client, c.moment, c.To)
	if err != nil {
		return err
	}
	return env.Print(plan, plan.write)
}

type runCommand struct{ planCommand }

const progressInterval = time.Second

// Run restores.
func (c *runCommand) Run(ctx context.Context, env *service.Env) error {
	s, err := open(ctx, env, c.Container)
	if err != nil {
		return err
	}
	client, err := s.reader()
	if err != nil {
		return err
	}
	defer client.Close()
	plan, point, base, err := s.plan(ctx, client, c.moment, c.To)
	if err != nil {
		return err
	}
	writer, err := s.writer()
	if err != nil {
		return err
	}
	defer writer.Close()
	_, _ = fmt.Fprintf(env.Err, "restoring %s at %s into %s\n", plan.Container, plan.Point.Name, plan.Target.Name)
	limits := env.Config.Restorer
	var report *Report
	err = s.withBase(base, func(base *archive.Manifest) error {
		x := &execution{
			reader: client, writer: writer, wait: sleep.For, content: s.content(point, base),
			memory: int64(limits.Memory) / 2, spill: limits.Spill, concurrency: limits.Concurrency,
			progress: progress{env.Err, progressInterval},
		}
		report, err = x.run(ctx, plan)
		return err
	})
	if err != nil {
		return err
	}
	return env.Print(report, report.write)
}

type verifyCommand struct {
	source
	moment
	To    string `placeholder:"DATABASE.CONTAINER" help:"The container to compare with; default: the one that run makes of the same point, <container>-restored-<the point's time>."`
	Limit int    `default:"20" help:"List at most so many differences."`
}

// Run compares.
func (c *verifyCommand) Run(ctx context.Context, env *service.Env) error {
	if c.Limit < 0 || c.Limit > 100_000 {
		return usage("--limit is %d, want 0 to 100000", c.Limit)
	}
	s, err := open(ctx, env, c.Container)
	if err != nil {
		return err
	}
	client, err := s.reader()
	if err != nil {
		return err
	}
	defer client.Close()
	point, err := s.point(ctx, c.moment)
	if err != nil {
		return err
	}
	target, err := s.target(c.To, &point)
	if err != nil {
		return err
	}
	v, err := s.verify(ctx, client, &point, target, c.Limit)
	if err != nil {
		return err
	}
	if err := env.Print(v, v.write); err != nil {
		return err
	}
	if !v.Same() {
		return service.Differ(fmt.Errorf("%s differs from point %s", v.Target, v.Point))
	}
	return nil
}

type one struct {
	PartitionKey string `required:"" placeholder:"JSON" help:"The partition key's values as a JSON array, such as [\"eu\",42]; [{}] where the property is missing."`
	ID           string `required:"" name:"id" help:"The document's id."`
}

type getCommand struct {
	source
	moment
	one
}

// Run prints one document.
func (c *getCommand) Run(ctx context.Context, env *service.Env) error {
	s, err := open(ctx, env, c.Container)
	if err != nil {
		return err
	}
	point, err := s.point(ctx, c.moment)
	if err != nil {
		return err
	}
	v, err := s.get(ctx, &point, c.one)
	if err != nil {
		return err
	}
	return env.Print(v, func(w io.Writer) error {
		_, err := io.WriteString(w, *v.Document)
		return err
	})
}

type historyCommand struct {
	source
	one
	Last      int  `default:"50" help:"Show only so many of the newest versions."`
	Documents bool `help:"With -o json: the documents too, each as one string of its bytes."`
}

// Help explains the columns.
func (c *historyCommand) Help() string {
	return "NEWEST IN POINTS says in how many restore points a version is the document's newest, and in which: `get --at` one of them prints it. " +
		"A version with - is in none: it was overwritten before the next point, or no point has come to it yet."
}

const historyLimit = 10_000 // versions in memory (INV-9)

// Run lists one document's versions.
func (c *historyCommand) Run(ctx context.Context, env *service.Env) error {
	if c.Last < 1 || c.Last > historyLimit {
		return usage("--last is %d, want 1 to %d", c.Last, historyLimit)
	}
	s, err := open(ctx, env, c.Container)
	if err != nil {
		return err
	}
	detail := withoutDocument
	if c.Documents {
		detail = withDocument
	}
	h, err := s.history(ctx, c.one, c.Last, detail)
	if err != nil {
		return err
	}
	return env.Print(h, h.write)
}
