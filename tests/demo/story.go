package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	business = 8 * time.Second // how long the shop works before the deployment
	pace     = 4 * time.Millisecond
	deadline = 30 * time.Second // of every wait
)

// story is what the demo shows, from the first document to the proof.
func (d *demo) story(ctx context.Context) error {
	d.out.title(fmt.Sprintf("Almanac: a shop loses its documents and gets them back (seed %d)", d.seed))
	d.introduce()
	for _, step := range []func(context.Context) error{d.load, d.trade, d.deploy, d.assess, d.restore, d.prove} {
		if err := step(ctx); err != nil {
			return err
		}
		if err := d.stack.Failed(); err != nil {
			return err
		}
	}
	d.out.say("DONE", "in %.1f s. make clean removes .demo; make demo tells it again with another seed.", time.Since(d.out.origin).Seconds())
	return nil
}

func (d *demo) introduce() {
	p, o := products(), orders()
	d.out.say("STACK", "Cosmos DB (cosmosfake) %s\n%s on %s, %d physical ranges; %s on %s, %d physical ranges",
		d.stack.Cosmos.URL(), p.Name(), strings.Join(p.Key, " "), p.Ranges, o.Name(), strings.Join(o.Key, " "), o.Ranges)
	d.out.say("STACK", "Kafka (kfake) %s, 2 topics of 4 partitions\n2 producers, 2 archivers; archive, ledger and logs below .demo", d.stack.Brokers()[0])
}

// load fills both containers.
func (d *demo) load(ctx context.Context) error {
	goods, err := readGoods()
	if err != nil {
		return err
	}
	d.shop = &shop{account: d.stack.Account, library: &d.library, goods: goods}
	for n := range 300 + d.random.IntN(200) {
		d.shop.orders = append(d.shop.orders, order(d.random, n))
	}
	began := time.Now()
	all := append(append([]*document{}, d.shop.goods...), d.shop.orders...)
	err = each(ctx, all, func(ctx context.Context, doc *document) error {
		return d.shop.write(ctx, harness.Create, doc, doc.bytes)
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	d.out.say("LOAD", "%s into %s, %s into %s: %.1f s, %s documents/s", count(len(d.shop.goods), "document", "documents"), products().Name(),
		count(len(d.shop.orders), "order", "orders"), orders().Name(), took.Seconds(), grouped(int64(float64(len(all))/took.Seconds())))
	return nil
}

// trade is some seconds of business. In its middle an archiver dies, and a snapshot is taken.
func (d *demo) trade(ctx context.Context) error {
	d.out.say("BUSINESS", "%s of orders, edits, reviews and soft deletions (\"deleted\": true)", business)
	events := []event{
		{business / 4, func(ctx context.Context) error { return d.kill("archiver-1") }},
		{business/4 + time.Second, func(ctx context.Context) error { return d.revive("archiver-1") }},
		{business / 2, d.snapshot},
	}
	failed := make(chan error, len(events))
	began, told := time.Now(), time.Now()
	random := rand.New(rand.NewPCG(d.seed, 1))
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	running := 0
	for time.Since(began) < business || running > 0 {
		for len(events) > 0 && time.Since(began) >= events[0].at {
			e := events[0]
			events, running = events[1:], running+1
			go func() { failed <- e.do(ctx) }()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			if running--; err != nil {
				return err
			}
		case <-ticker.C:
			if err := d.shop.work(ctx, random); err != nil {
				return err
			}
		}
		if time.Since(told) >= 2*time.Second {
			told = time.Now()
			if err := d.tell(); err != nil {
				return err
			}
		}
	}
	d.out.say("BUSINESS", "%s since the load: %s created, %s edited, %s deleted softly", count(d.shop.writes(), "write", "writes"),
		grouped(d.shop.created.Load()), grouped(d.shop.edited.Load()), grouped(d.shop.deleted.Load()))
	return nil
}

type event struct {
	at time.Duration
	do func(context.Context) error
}

// tell prints how far the archive is.
func (d *demo) tell() error {
	rows, commits, size, err := d.archived()
	if err != nil {
		return err
	}
	d.out.more("%s so far; archived: %s in %s, %s of Parquet", count(d.shop.writes(), "write", "writes"),
		count(rows, "row", "rows"), count(commits, "commit", "commits"), sized(size))
	return nil
}

func (d *demo) archived() (rows int64, commits int, size int64, err error) {
	for _, c := range []harness.Container{products(), orders()} {
		p := d.stack.Progress(c.TopicName())
		if err := p.Refresh(); err != nil {
			return 0, 0, 0, err
		}
		rows += p.Rows[c.Name()]
		commits += p.Commits
		size += p.Bytes
	}
	return rows, commits, size, nil
}

func (d *demo) kill(name string) error {
	d.stack.Process(name).Kill()
	d.out.more("%s %s", d.out.paint(bold+";"+red, "kill -9"), name)
	return nil
}

func (d *demo) revive(name string) error {
	d.out.more("%s starts again and goes on from the table", name)
	return d.stack.Process(name).Start()
}

// snapshot lets the compactor take one of each container.
func (d *demo) snapshot(ctx context.Context) error {
	for _, c := range []harness.Container{products(), orders()} {
		var made struct {
			Point string
			Rows  int64
			Bytes int64
		}
		r, err := d.stack.Ask(ctx, &made, "compactor", "snapshot", "--container", c.Name())
		if err != nil {
			return err
		}
		d.out.more("compactor: snapshot of %s, %s, %s, %.1f s", c.Name(), count(made.Rows, "document", "documents"), sized(made.Bytes), r.Took.Seconds())
	}
	return nil
}

// deploy closes the shop, remembers the moment, and does the damage. The other archiver dies in its middle.
func (d *demo) deploy(ctx context.Context) error {
	quiet := time.Now()
	d.out.say("DEPLOY", "the shop closes for a deployment; what it wrote becomes restorable …")
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := d.stack.Restorable(ctx, products().Name(), quiet); err != nil {
		return err
	}
	now, err := d.serviceTime(ctx)
	if err != nil {
		return err
	}
	d.shop.moment = now
	d.out.say("DEPLOY", "everything is, %.1f s later", time.Since(quiet).Seconds())
	d.out.say("DEPLOY", "%s a %s begins at %s", d.out.paint(bold+";"+red, "!"), d.out.paint(bold, "bad deployment"), stamp(now))
	if err := d.ruin(ctx); err != nil {
		return err
	}
	d.out.say("DEPLOY", "it is over at %s: %s overwritten, %s deleted softly", stamp(time.Now()), count(d.shop.overwritten.Load(), "price", "prices"),
		count(d.shop.wiped.Load(), "document", "documents"))
	return d.caughtUp(ctx)
}

// ruin lets the deployment go through the documents one by one. An archiver dies in its middle.
func (d *demo) ruin(ctx context.Context) error {
	damage := d.shop.damage(d.random)
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for i, doc := range damage {
		if i == len(damage)/2 {
			if err := d.kill("archiver-2"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			if err := d.shop.ruin(ctx, doc); err != nil {
				return err
			}
		}
	}
	return d.revive("archiver-2")
}

// caughtUp waits until the archive holds the damage too: it forgets nothing.
func (d *demo) caughtUp(ctx context.Context) error {
	began := time.Now()
	topic := products().TopicName()
	progress := d.stack.Progress(topic)
	ends, err := d.stack.Ends(ctx, topic)
	if err != nil {
		return err
	}
	err = harness.Until(ctx, "the archive to catch up", func() (string, error) {
		if err := progress.Refresh(); err != nil {
			return "", err
		}
		return progress.Missing(ends), d.stack.Failed()
	})
	if err != nil {
		return err
	}
	d.out.more("the archive has caught up after %.1f s: it holds the damage as well", time.Since(began).Seconds())
	return nil
}

// serviceTime is a moment by the emulator's clock with nothing on either side of it in the same second's fraction.
func (d *demo) serviceTime(ctx context.Context) (time.Time, error) {
	now := time.Now().Truncate(time.Millisecond)
	return now, harness.Until(ctx, "the next millisecond", func() (string, error) {
		if !time.Now().Truncate(time.Millisecond).After(now) {
			return "it is not there", nil
		}
		return "", nil
	})
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000Z") }

// assess shows what the shop looks like now.
func (d *demo) assess(ctx context.Context) error {
	live, worthless := 0, 0
	err := d.stack.Account.Each(ctx, products(), func(text []byte) error {
		var f struct {
			Deleted bool
			Price   *float64 `json:"currentPrice"`
		}
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		if !f.Deleted {
			live++
		}
		if f.Price != nil && *f.Price <= 0 && !f.Deleted {
			worthless++
		}
		return nil
	})
	if err != nil {
		return err
	}
	before := 0
	for _, doc := range d.shop.goods {
		if !d.library.Gone(d.library.Keep(doc.beforeBytes())) {
			before++
		}
	}
	d.out.say("DAMAGE", "%s of %s are left in %s; %s a price of nothing or less", grouped(int64(live)), count(before, "document", "documents"),
		products().Name(), count(worthless, "product has", "products have"))
	doc := d.shop.example()
	d.out.say("DAMAGE", "for example %s", doc.id)
	d.out.block("before   " + excerpt(doc.before) + "\nnow      " + excerpt(doc.bytes))
	return nil
}

// excerpt is what matters of a product.
func excerpt(text []byte) string {
	var f struct {
		Name    string
		Deleted bool
		Price   json.Number `json:"currentPrice"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return err.Error()
	}
	out := fmt.Sprintf("%-44.44s price %9s", f.Name, f.Price)
	if f.Deleted {
		out += "  deleted"
	}
	return out
}

const target = "shop.products-restored"

// restore lists, plans, restores and verifies, as the engineer at 3 a.m. would.
func (d *demo) restore(ctx context.Context) error {
	name, before := products().Name(), d.shop.moment.UTC().Format(time.RFC3339Nano)
	timeline, err := d.stack.Points(ctx, name, 1)
	if err != nil {
		return err
	}
	d.command("points --container " + name)
	d.out.say("RESTORE", "%s; the newest holds everything before %s", count(timeline.Total, "restore point", "restore points"), stamp(*timeline.RestorableUntil))

	args := []string{"--container", name, "--before", before, "--to", target}
	d.command("plan " + strings.Join(args, " "))
	r, err := d.stack.Run(ctx, "restorer", append([]string{"plan"}, args...)...)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return err
	}
	plan, _, _ := strings.Cut(string(r.Stdout), "  left out of it")
	d.out.block(cutLines(plan))

	d.command("run " + strings.Join(args, " "))
	var done struct {
		Point     string
		Documents int64
		Bytes     int64
		Rate      float64 `json:"documents_per_second"`
		RU        float64 `json:"request_units"`
	}
	if r, err = d.stack.Ask(ctx, &done, "restorer", append([]string{"run"}, args...)...); err != nil {
		return err
	}
	d.shop.point = done.Point
	d.out.say("RESTORE", "%s, %s: %.1f s in all, writing %s documents/s for %s RU", count(done.Documents, "document", "documents"), sized(done.Bytes),
		r.Took.Seconds(), grouped(int64(done.Rate)), grouped(int64(done.RU)))

	d.command("verify --container " + name + " --at " + done.Point + " --to " + target)
	if r, err = d.stack.Run(ctx, "restorer", "verify", "--container", name, "--at", done.Point, "--to", target); err == nil {
		err = r.Err()
	}
	if err != nil {
		return err
	}
	d.out.block(string(r.Stdout))

	doc := d.shop.example()
	d.command("history --container " + name + " --partition-key '" + doc.key + "' --id " + doc.id)
	if r, err = d.stack.Run(ctx, "restorer", "history", "--container", name, "--partition-key", doc.key, "--id", doc.id); err == nil {
		err = r.Err()
	}
	if err != nil {
		return err
	}
	d.out.block(cutLines(string(r.Stdout)))
	return nil
}

func (d *demo) command(text string) {
	d.out.say("RESTORE", "%s", d.out.paint(bold, "$ almanac-restorer "+text))
}

// cutLines keeps a program's output within the screen.
func cutLines(text string) string {
	const width = 112
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			lines[i] = string(runes[:width-1]) + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// query prints where the Parquet lies and what to ask it.
func (d *demo) query() error {
	rows, commits, size, err := d.archived()
	if err != nil {
		return err
	}
	table := filepath.Join(d.stack.Archive, products().TopicName(), "changes")
	doc := d.shop.example()
	d.out.say("PARQUET", "%s in %s, %s, readable by anything that reads Delta Lake, below\n%s", count(rows, "change", "changes"), count(commits, "commit", "commits"), sized(size), d.stack.Archive)
	d.out.say("PARQUET", "the price history of that product, in DuckDB:")
	d.out.block(fmt.Sprintf(`INSTALL delta; LOAD delta;
SELECT ts, op, document->>'$.currentPrice' AS price, document->>'$.deleted' AS deleted
FROM delta_scan('%s')
WHERE container = 'shop.products' AND id = '%s'
ORDER BY generation, lsn;`, table, doc.id))
	return nil
}
