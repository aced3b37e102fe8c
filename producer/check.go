package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

type checkCommand struct{}

// Run tries what the producer will need.
func (c *checkCommand) Run(ctx context.Context, env *service.Env) error {
	if err := env.Config.Require("cosmos.endpoint", "cosmos.key", "kafka.brokers", "archive.root", "containers"); err != nil {
		return err
	}
	var stores []check.Finding
	archive, root, err := openStores(env.Config)
	if err != nil {
		stores = check.NotOpened("archive.root, producer.root", err)
	} else {
		stores = checkStores(ctx, env.Config, archive, root)
	}
	if check.Fails(stores) {
		archive, root = nil, nil // each container and topic would say the same again
	}
	account := checkAccount(ctx, env.Config, root)
	var uses []kafka.Use
	for _, topic := range env.Config.Topics() {
		uses = append(uses, kafka.Use{
			Topic: topic.Name, Group: env.Config.Producer.Group + "." + topic.Name, Access: kafka.Writes,
			Past: kafka.Past{
				MayMake: func(ctx context.Context) error {
					if archive == nil {
						return errNoArchive
					}
					return topicid.CheckNew(ctx, archive, topic.Name)
				},
				MayTake: func(ctx context.Context) error {
					if archive == nil {
						return nil // that is said of it
					}
					return topicid.CheckKnown(ctx, archive, topic.Name)
				},
			},
		})
	}
	report := check.NewReport(env.Program, account, kafka.Check(ctx, env.Config.Kafka, uses), stores)
	if err := env.Print(report, report.Write); err != nil {
		return err
	}
	return report.Err()
}

var errNoArchive = errors.New("it does not exist, and the archive, which would know of an earlier topic of this name, cannot be read")

func checkStores(ctx context.Context, cfg *config.Config, archive, root blob.Store) []check.Finding {
	if cfg.Producer.Root == cfg.Archive.Root {
		return check.Store(ctx, archive, "archive.root", cfg.Archive.Root)
	}
	return append(check.Store(ctx, archive, "archive.root", cfg.Archive.Root), check.Store(ctx, root, "producer.root", cfg.Producer.Root)...)
}

// checkAccount looks at the account, and at every container as the producer reads it. root, where seeds lie, may be nil.
func checkAccount(ctx context.Context, cfg *config.Config, root blob.Store) []check.Finding {
	const subject = "cosmos.endpoint"
	client, err := cosmos.New(cosmos.Options{Endpoint: cfg.Cosmos.Endpoint, Key: cfg.Cosmos.Key, CAFile: cfg.Cosmos.CAFile})
	if err != nil {
		return []check.Finding{check.Failed("cosmos", err).Fix("correct what is named here")}
	}
	defer client.Close()
	start, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	account, err := client.ReadAccount(start)
	if err != nil {
		return []check.Finding{check.Failed(subject, err).Fix("check cosmos.endpoint, cosmos.key and cosmos.ca_file, the account's firewall and the way there")}
	}
	findings := []check.Finding{check.Good(subject, "account %s answers, and takes the key", account.ID)}
	if regions := account.WriteRegions; len(regions) > 1 {
		f := check.Bad(check.Stop, subject, "the account writes in %d regions (%s): their changes have no common order, so no restore point would be exact", len(regions), strings.Join(regions, ", "))
		findings = append(findings, f.Fix("give the account one write region"))
	}
	for _, c := range cfg.Containers {
		findings = append(findings, checkContainer(ctx, client, c, root)...)
	}
	return findings
}

func checkContainer(ctx context.Context, client *cosmos.Client, c config.Container, root blob.Store) []check.Finding {
	subject := "container " + c.Name()
	ctx, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	live, err := client.ReadContainer(ctx, c.Database, c.Container)
	if err != nil {
		return []check.Finding{check.Failed(subject, err).Fix("check containers[].database and containers[].container, and that the key may read them")}
	}
	ranges, err := client.FeedRanges(ctx, c.Database, c.Container)
	if err == nil {
		_, err = client.ReadChanges(ctx, cosmos.ReadOptions{Container: live, Range: ranges[0], Token: cosmos.FromNow(live, ranges[0]), MaxItems: 1})
	}
	if err != nil {
		return []check.Finding{check.Failed(subject, fmt.Errorf("read its change feed: %w", err)).Fix("let the key read the container's change feed")}
	}
	findings := []check.Finding{check.Good(subject, "its change feed can be read; ranges: %d", len(ranges))}
	var resource struct {
		TTL *int64 `json:"defaultTtl"`
	}
	if err := json.Unmarshal(live.Resource, &resource); err == nil && resource.TTL != nil {
		f := check.Bad(check.Warning, subject, "it has a time to live (defaultTtl %d), and the change feed does not show what expires: restore points are tainted", *resource.TTL)
		findings = append(findings, f.Fix("switch its time to live off, or archive it for its history alone"))
	}
	return append(findings, checkSeed(ctx, c, live, root)...)
}

// checkSeed holds what was begun against what is there now.
func checkSeed(ctx context.Context, c config.Container, live *cosmos.Container, root blob.Store) []check.Finding {
	subject := "container " + c.Name()
	if root == nil {
		return nil
	}
	seed, _, err := readSeed(ctx, root, schemas.SeedFile(c.Topic, c.Name()))
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return nil
	case err != nil:
		return []check.Finding{check.Failed(subject, err).Fix("put the object back from a copy")}
	case seed.Incarnation != live.RID:
		f := check.Bad(check.Stop, subject, "its history was begun with the container of resource id %s, and now another stands there, %s", seed.Incarnation, live.RID)
		return []check.Finding{f.Fix("archive it under a topic of its own by containers[].topic, or put the old one back")}
	case seed.Start != schemas.Start(c.Start):
		f := check.Bad(check.Stop, subject, "it began with start: %s, and almanac.yaml says %s: what was begun cannot be changed", seed.Start, c.Start)
		return []check.Finding{f.Fix("put containers[].start back")}
	}
	return checkRanges(ctx, c, seed.Ranges, root)
}

// checkRanges finds the ranges that are halted, or whose checkpoints cannot be read.
func checkRanges(ctx context.Context, c config.Container, ranges []schemas.FeedRange, root blob.Store) (findings []check.Finding) {
	subject := "container " + c.Name()
	for _, span := range ranges {
		r, err := readRange(ctx, root, c, span)
		switch {
		case err != nil:
			findings = append(findings, check.Failed(subject, err).Fix("put the object back from a copy"))
		case r.Halt != nil:
			findings = append(findings, check.Bad(check.Stop, subject, "%v", r.Halt).Fix("%s", r.clearing(c.Name())))
		}
	}
	return findings
}
