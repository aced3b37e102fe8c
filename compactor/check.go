package compactor

import (
	"context"
	"errors"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

type checkCommand struct{}

// Run tries what the compactor will need.
func (c *checkCommand) Run(ctx context.Context, env *service.Env) error {
	compactor, targets, err := build(env)
	var missing *config.Error
	if errors.As(err, &missing) {
		return err
	}
	findings := []check.Finding{check.Folder("compactor.spill", env.Config.Compactor.Spill)}
	if err != nil {
		findings = append(findings, check.NotOpened("archive.root", err)...)
	} else {
		store := check.Store(ctx, compactor.opts.Root, "archive.root", env.Config.Archive.Root)
		findings = append(findings, store...)
		if check.Fails(store) {
			targets = nil // each would say the same again
		}
		for _, t := range targets {
			findings = append(findings, compactor.checkTarget(ctx, t)...)
		}
	}
	report := check.NewReport(env.Program, findings)
	if err := env.Print(report, report.Write); err != nil {
		return err
	}
	return report.Err()
}

// checkTarget folds a container's points, which reads the table and every control row in it, and finds its halts.
func (c *Compactor) checkTarget(ctx context.Context, t Target) (findings []check.Finding) {
	subject := "container " + t.Container
	changes, err := archive.OpenChanges(ctx, c.opts.Root, t.Topic)
	if errors.Is(err, topicid.ErrNoTopic) {
		f := check.Bad(check.Warning, subject, "%v", err)
		return []check.Finding{f.Fix("start producer and archiver with this archive.root; or is containers[].topic another?")}
	}
	var timeline *archive.Timeline
	if err == nil {
		timeline, err = archive.LoadTimeline(ctx, changes, t.Container, t.Rules)
	}
	var status []ContainerStatus
	if err == nil {
		status, err = c.statusOf(ctx, t)
	}
	if err != nil {
		return []check.Finding{check.Failed(subject, err).Fix("see what the message says of the table; put lost objects back from a copy")}
	}
	newest, ok := timeline.NewestExact()
	if ok {
		findings = append(findings, check.Good(subject, "its archive can be read, and its newest exact restore point is %s", newest.Name))
	} else {
		findings = append(findings, check.Good(subject, "its archive can be read, and has no exact restore point yet"))
	}
	for _, one := range status {
		if one.Halt != nil {
			findings = append(findings, check.Bad(check.Stop, subject, "%v", one.Halt).Fix("%s", one.clearing()))
		}
	}
	return findings
}
