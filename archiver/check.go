package archiver

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
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
		if cfg.Producer.Root != cfg.Archive.Root {
			stores = append(stores, check.Secrecy(options.Producer, "producer.root", cfg.Producer.Root)...)
		}
	}
	open := !check.Fails(stores) // what builds upon it would say the same again
	if open {
		stores = append(stores, checkLarge(ctx, cfg, options.Producer)...)
	}
	var uses []kafka.Use
	for _, topic := range cfg.Topics() {
		uses = append(uses, kafka.Use{
			Topic: topic.Name, Group: cfg.Archiver.Group, Access: kafka.Reads,
			Past: kafka.Past{
				MayMake: func(ctx context.Context) error {
					if !open {
						return errNoArchive
					}
					return topicid.CheckNew(ctx, options.Archive, topic.Name)
				},
				MayTake: func(ctx context.Context) error {
					if !open {
						return nil // that is said of it
					}
					return topicid.CheckKnown(ctx, options.Archive, topic.Name)
				},
			},
		})
	}
	brokers := kafka.Check(ctx, cfg.Kafka, uses)
	var topics []check.Finding
	if open {
		topics = checkTopics(ctx, &options, brokers)
	}
	report := check.NewReport(env.Program, brokers, stores, topics)
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

// checkTopics opens the table of every topic that has one, and finds what is halted, and what an archiver would halt at.
// brokers is what was found of them: what does not answer, or is missing, is not said twice.
func checkTopics(ctx context.Context, o *Options, brokers []check.Finding) (findings []check.Finding) {
	var client *kgo.Client
	if !check.Fails(brokers[:1]) { // which is of the cluster
		var err error
		if client, err = o.connect(); err != nil {
			return []check.Finding{check.Failed("kafka", err).Fix("correct what is named here")}
		}
		defer client.Close()
	}
	for _, topic := range o.Config.Topics() {
		v, err := readView(ctx, o.Archive, topic.Name)
		if err != nil {
			findings = append(findings, check.Failed(tableSubject(topic.Name), err).Fix("see what the message says of the table; put lost objects back from a copy"))
			continue
		}
		table := checkTable(v)
		findings = append(findings, table)
		if client != nil && v.table != nil && table.Severity == check.OK { // one that is not begun is refused by its Past, as brokers say
			err = v.ask(ctx, client)
		}
		if err != nil && !errors.Is(err, kafka.ErrNoTopic) && !check.Fails(brokers) {
			findings = append(findings, check.Failed("topic "+topic.Name, err).Fix("look at the brokers' health: does every partition have a leader?"))
		}
		findings = append(findings, troubles(v.status())...)
	}
	return findings
}

func tableSubject(topic string) string { return "table " + schemas.ChangesPrefix(topic) }

// checkTable says how the table stands, and whether it is the one of topic.json.
func checkTable(v *view) check.Finding {
	subject := tableSubject(v.topic)
	if v.table == nil {
		return check.Good(subject, "nothing is archived yet")
	}
	if err := archive.CheckUUID(v.table.snapshot, v.table.uuid); err != nil {
		return check.Bad(check.Stop, subject, "%v", err).Fix("put back the topic.json that the table was begun with, or archive under another topic name")
	}
	if v.table.snapshot.Version < 0 { // the topic is named, and nothing committed
		return check.Good(subject, "nothing is archived yet")
	}
	return check.Good(subject, "it stands at version %d", v.table.snapshot.Version)
}

// troubles are the findings of what is halted, or would be. What shows that the topic is another one is said once.
func troubles(t TopicStatus) (findings []check.Finding) {
	add := func(found trouble) {
		if found.what != "" {
			findings = append(findings, check.Bad(check.Stop, "topic "+t.Topic, "%s", found.what).Fix("%s", strings.Join(found.ways, "\n")))
		}
	}
	add(t.trouble())
	said := map[string]bool{}
	for _, p := range t.Partitions {
		if !said[p.State] {
			add(p.trouble(t.Topic))
		}
		said[p.State] = p.State == stateMissing || p.State == stateShorter || p.State == stateOther
	}
	return findings
}
