package restorer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	blobopen "github.com/cosmos-almanac/almanac/internal/blob/open"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

type checkCommand struct{}

// Run tries what the restorer will need. Nothing is written to the archive, which a restore only reads.
func (c *checkCommand) Run(ctx context.Context, env *service.Env) error {
	if err := env.Config.Require("cosmos.endpoint", "cosmos.key", "archive.root", "containers"); err != nil {
		return err
	}
	findings := checkRoot(ctx, env.Config)
	if !check.Fails(findings) {
		for _, one := range env.Config.Containers {
			findings = append(findings, checkArchive(ctx, env, one))
		}
	}
	findings = append(findings, check.Folder("restorer.spill", env.Config.Restorer.Spill))
	findings = append(findings, checkAccount(ctx, env.Config)...)
	report := check.NewReport(env.Program, findings)
	if err := env.Print(report, report.Write); err != nil {
		return err
	}
	return report.Err()
}

// checkRoot finds something only where the store cannot be opened or read: each container would say the same again.
func checkRoot(ctx context.Context, cfg *config.Config) []check.Finding {
	const subject = "archive.root"
	store, err := blobopen.Root(cfg.Archive.Root, cfg.Archive)
	if err != nil {
		return check.NotOpened(subject, err)
	}
	return check.Readable(ctx, store, subject, cfg.Archive.Root)
}

// checkArchive folds a container's points, which reads the table and every control row in it.
func checkArchive(ctx context.Context, env *service.Env, c config.Container) check.Finding {
	subject := "archive of " + c.Name()
	s, err := open(ctx, env, c.Name())
	var timeline *archive.Timeline
	if err == nil {
		timeline, err = s.timeline(ctx)
	}
	if errors.Is(err, topicid.ErrNoTopic) {
		return check.Bad(check.Warning, subject, "%v", err).Fix("start producer and archiver with this archive.root; or is containers[].topic another?")
	}
	if err != nil {
		return check.Failed(subject, err).Fix("check archive.root and containers[].topic, and that this process may read there")
	}
	newest, ok := timeline.NewestExact()
	if !ok {
		f := check.Bad(check.Warning, subject, "it can be read, and has no exact restore point")
		return f.Fix("see almanac-restorer points: it says what is missing")
	}
	return check.Good(subject, "it can be read; its newest exact point is %s", newest.Name)
}

const accountMost = 10 * time.Second // for one answer

// checkAccount finds out whether the key may write where a restore would: beside the container.
func checkAccount(ctx context.Context, cfg *config.Config) []check.Finding {
	const subject = "cosmos.endpoint"
	client, err := cosmos.New(cosmos.Options{Endpoint: cfg.Cosmos.Endpoint, Key: cfg.Cosmos.Key, CAFile: cfg.Cosmos.CAFile})
	if err != nil {
		return []check.Finding{check.Failed("cosmos", err).Fix("correct what is named here")}
	}
	defer client.Close()
	start, cancel := context.WithTimeout(ctx, accountMost)
	defer cancel()
	account, err := client.ReadAccount(start)
	if err != nil {
		return []check.Finding{check.Failed(subject, err).Fix("check cosmos.endpoint, cosmos.key and cosmos.ca_file, the account's firewall and the way there")}
	}
	findings := []check.Finding{check.Good(subject, "account %s answers, and takes the key", account.ID)}
	for _, c := range cfg.Containers {
		findings = append(findings, checkWriting(ctx, client, Name{Database: c.Database, Container: c.Container}))
	}
	return findings
}

func checkWriting(ctx context.Context, client *cosmos.Client, name Name) check.Finding {
	subject := "container " + name.String()
	ctx, cancel := context.WithTimeout(ctx, accountMost)
	defer cancel()
	live, err := findTarget(ctx, client, name)
	if err != nil {
		return check.Failed(subject, err).Fix("create the database, or restore into another by --to")
	}
	if live == nil {
		f := check.Bad(check.Warning, subject, "it does not exist, so whether the key may write could not be tried")
		return f.Fix("see to it that cosmos.key is a read-write key of the account")
	}
	if err := client.TryWrite(ctx, live); err != nil {
		var refused *cosmos.StatusError
		if errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden) {
			f := check.Bad(check.Stop, subject, "the key reads and may not write: %v", err)
			return f.Fix("give a read-write key by cosmos.key; a restore makes a container and writes its documents")
		}
		return check.Failed(subject, fmt.Errorf("try to write: %w", err)).Fix("look at the account's health, and try again")
	}
	return check.Good(subject, "the key may write beside it")
}
