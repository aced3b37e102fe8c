package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// easySettings are for hours, not for a minute: points every few seconds, and files that are worth a look.
func easySettings() harness.Settings {
	return harness.Settings{
		"producer.mark_interval":            "2s",
		"producer.idle_mark_interval":       "15s",
		"producer.checkpoint_interval":      "2s",
		"producer.idle_checkpoint_interval": "15s",
		"producer.definition_interval":      "30s",
		"archiver.flush_interval":           "2s",
		"archiver.control_commit_interval":  "10s",
		"compactor.snapshot_interval":       "1m",
	}
}

// ground is what a stack stands on; it starts what is needed.
type ground func(ctx context.Context) (harness.Options, error)

// embedded is this process and a folder.
func (s *story) embedded(context.Context) (harness.Options, error) {
	return harness.Options{Settings: easySettings()}, nil
}

// connectionFile is the file in Azurite's folder that says how to reach it.
const connectionFile = "connection-string"

// onServers is Apache Kafka and Azurite.
func (s *story) onServers(ctx context.Context) (o harness.Options, err error) {
	s.out.say(opening, "starting Apache Kafka and Azurite")
	brokers, err := s.place.kafka().start(ctx, "brokers")
	if err != nil {
		return o, err
	}
	azurite := s.place.azurite()
	connection, err := azurite.start(ctx, connectionFile)
	if err != nil {
		return o, err
	}
	if s.account, err = openAccount(ctx, connection, filepath.Join(azurite.folder, connectionFile)); err != nil {
		return o, err
	}
	settings := easySettings().With(harness.Settings{"kafka.session_timeout": "10s"}) // brokers take no less than 6 s
	return harness.Options{Settings: settings, Brokers: strings.Split(brokers, ","), Store: s.account}, nil
}

// develop starts the stack, prints its addresses, and keeps the shop open until the context ends.
func (s *story) develop(ctx context.Context, on ground) error {
	s.out.title("Almanac: a stack to play with", fmt.Sprintf("seed %d", s.seed))
	options, err := on(ctx)
	if err != nil {
		return err
	}
	if err := s.open(ctx, options); err != nil {
		return err
	}
	if err := s.reportAddresses(ctx); err != nil {
		return err
	}
	stopOrders := s.keepTaking(ctx, time.Second/2)
	done := make(chan error, 1)
	go func() { done <- paced(ctx, 1<<30, time.Second/2, s.catalog.work) }()
	err = s.watch(ctx)
	return errors.Join(err, <-done, stopOrders(), s.shutDown())
}

// watch says now and then that all is well.
func (s *story) watch(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := errors.Join(s.stack.Failed(), s.sayBusiness(ctx)); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// shutDown stops the programs in good order.
func (s *story) shutDown() error {
	s.out.say(closing, "stopping the programs")
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	s.memory = map[string]int64{}
	stopped := s.stop(ctx, everybody()...)
	fetched := s.stack.Fetch(ctx)
	if fetched == nil {
		s.out.say(closing, "%s", s.farewell())
	} else {
		s.out.say(closing, "the archive could not be copied into %s: %v", s.place.short("archive"), fetched)
	}
	return errors.Join(stopped, fetched)
}

// farewell is where the archive is when nothing runs any more. What the settings name was Azurite's.
func (s *story) farewell() string {
	archive := s.place.short("archive")
	text := "the archive is in " + archive + ", until the next run"
	if s.account != nil {
		text += "; " + s.place.short("almanac.yaml") + " names Azurite, which is stopped: give --archive-root " + archive + " with it"
	}
	return text
}

func (s *story) reportAddresses(ctx context.Context) error {
	s.out.heading("addresses")
	archive := s.place.short("archive")
	if s.account != nil {
		archive = s.account.location + "\nconnection string in " + s.connectionFile() + "; copied into " + archive + " at Ctrl-C, and not before"
	}
	lines := []fact{
		{"Cosmos DB", s.stack.Cosmos.URL()},
		{"  key", s.stack.Cosmos.Key()},
		{"  CA file", s.place.short("emulator.pem")},
		{"Kafka", strings.Join(s.stack.Brokers(), ",") + "   topics " + s.catalog.in.TopicName() + ", " + s.till.in.TopicName()},
		{"archive", archive},
		{"settings", s.place.short("almanac.yaml")},
		{"logs", s.place.short("logs")},
		{"ledger", s.place.short("ledger.jsonl")},
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, name := range everybody() {
		addr, err := s.stack.Process(name).Addr(ctx)
		if err != nil {
			return err
		}
		lines = append(lines, fact{name, "http://" + addr + "/metrics, /healthz, /readyz"})
	}
	s.out.facts(lines...)
	s.out.heading("to try, in another terminal at the root of the repository")
	for _, line := range s.proposals(stamp(time.Now())) {
		s.out.facts(fact{"", line})
	}
	s.out.plain("\n  Ctrl-C stops it.\n")
	return nil
}

func (s *story) connectionFile() string {
	return s.place.short(filepath.Join("azurite", connectionFile))
}

// proposals are commands to try. moment is one that can be restored by the time that somebody has typed them.
func (s *story) proposals(moment string) []string {
	example := s.catalog.documents[0] // whatever becomes of it, it has a history
	lines := []string{
		"export ALMANAC_CONFIG=" + s.place.short("almanac.yaml") + " PATH=$PWD/.build/bin:$PATH",
		"export COSMOS_KEY=" + s.stack.Cosmos.Key(),
		"almanac-producer check && almanac-archiver check && almanac-compactor check && almanac-restorer check",
		"almanac-producer status; almanac-archiver status; almanac-compactor status; almanac-restorer status",
		"almanac-restorer points --container shop.products",
		"almanac-restorer history --container shop.products \\\n  --partition-key " + quotedForShell(example.key) + " --id " + quotedForShell(example.id),
		"almanac-restorer run --container shop.products --to shop.then --before " + moment,
		"almanac-restorer verify --container shop.products --to shop.then --before " + moment,
		"almanac-compactor snapshot --container shop.orders",
		"tail -f " + s.place.short("logs/*.log"),
		fmt.Sprintf("curl -sk %s_admin/failover -H \"x-ms-cosmosfake-key: $COSMOS_KEY\" \\\n"+
			"  -d '{\"database\":\"shop\",\"container\":\"products\",\"range\":\"0\",\"lsns\":3}'   # undoes 3 writes", s.stack.Cosmos.URL()),
	}
	if s.account != nil {
		lines = append(lines, "az storage blob list --container-name "+archiveName+" --output table \\\n"+
			"  --connection-string \"$(cat "+s.connectionFile()+")\"   # needs the Azure CLI")
	}
	return lines
}
