package archiver

import (
	"context"
	"errors"
	"slices"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

type checkCommand struct{}

// Run tries what the archiver will need.
func (c *checkCommand) Run(ctx context.Context, env *service.Env) error {
	options, err := optionsOf(env)
	var missing *config.Error
	if errors.As(err, &missing) {
		return err
	}
	cfg := env.Config
	var stores []check.Finding
	if err != nil {
		stores = check.NotOpened("archive.root, producer.root", err)
	} else {
		stores = check.Store(ctx, options.Archive, "archive.root", cfg.Archive.Root)
		if !check.Fails(stores) {
			stores = slices.Concat(stores, checkLarge(ctx, cfg, options.Producer), checkTables(ctx, cfg, options.Archive))
		}
	}
	var uses []kafka.Use
	for _, topic := range cfg.Topics() {
		uses = append(uses, kafka.Use{
			Topic: topic.Name, Group: cfg.Archiver.Group, Access: kafka.Reads,
			Past: kafka.Past{
				MayMake: func(ctx context.Context) error {
					if check.Fails(stores) {
						return errNoArchive
					}
					return topicid.CheckNew(ctx, options.Archive, topic.Name)
				},
				MayTake: func(ctx context.Context) error {
					if check.Fails(stores) {
						return nil // that is said of it
					}
					return topicid.CheckKnown(ctx, options.Archive, topic.Name)
				},
			},
		})
	}
	report := check.NewReport(env.Program, kafka.Check(ctx, cfg.Kafka, uses), stores)
	if err := env.Print(report, report.Write); err != nil {
		return err
	}
	return report.Err()
}

var errNoArchive = errors.New("it does not exist, and the archive, which would know of an earlier topic of this name, cannot be read")

// checkLarge tries to read where producers leave large documents, when that is not the archive.
func checkLarge(ctx context.Context, cfg *config.Config, root blob.Store) []check.Finding {
	const subject = "producer.root"
	if cfg.Producer.Root == cfg.Archive.Root {
		return nil
	}
	enough := errors.New("seen enough")
	for _, topic := range cfg.Topics() {
		err := root.List(ctx, topic.Name+"/large/", func(blob.Info) error { return enough })
		if err != nil && !errors.Is(err, enough) {
			return []check.Finding{check.Failed(subject, err).Fix("let this process read %s: large documents are taken from there", cfg.Producer.Root)}
		}
	}
	return []check.Finding{check.Good(subject, "%s can be read", cfg.Producer.Root)}
}

// checkTables opens the table of every topic that has one.
func checkTables(ctx context.Context, cfg *config.Config, root blob.Store) []check.Finding {
	var findings []check.Finding
	for _, topic := range cfg.Topics() {
		subject := "table " + schemas.ChangesPrefix(topic.Name)
		identity, err := topicid.Read(ctx, root, topic.Name)
		if errors.Is(err, topicid.ErrNoTopic) {
			findings = append(findings, check.Good(subject, "nothing is archived yet"))
			continue
		}
		var table *delta.Snapshot
		if err == nil {
			table, err = delta.Load(ctx, blob.Prefixed(root, schemas.ChangesPrefix(topic.Name)), delta.Options{WithoutFiles: true})
		}
		if err != nil {
			findings = append(findings, check.Failed(subject, err).Fix("see what the message says of the table; put lost objects back from a copy"))
			continue
		}
		if err := archive.CheckUUID(table, identity.UUID); err != nil {
			findings = append(findings, check.Bad(check.Stop, subject, "%v", err).Fix("put back the topic.json that the table was begun with, or archive under another topic name"))
			continue
		}
		findings = append(findings, check.Good(subject, "it stands at version %d", table.Version))
	}
	return findings
}
