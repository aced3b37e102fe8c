package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// report prints what happened, in numbers of this run.
func (s *story) report(d *damage, c *comeback) {
	s.note(c.products.plan.Point.Latest, "%s", s.out.paint(green, "point "+c.products.plan.Point.Name+": what came back"))
	s.reportTimeline()
	s.reportDamage(d)
	s.reportBack(d, c)
	s.reportRates(d, c)
	s.reportPlaces(d, c)
	s.out.plain("\n%s in %s\n", s.out.paint(green, "Everything is back, byte for byte,"), seconds(time.Since(s.out.origin)))
}

func (s *story) reportTimeline() {
	s.out.heading("timeline, " + s.events[0].at.UTC().Format("2006-01-02") + " UTC")
	slices.SortStableFunc(s.events, func(a, b event) int { return a.at.Compare(b.at) })
	var lines []fact
	for _, e := range s.events {
		lines = append(lines, fact{clock(e.at), e.what})
	}
	s.out.facts(lines...)
}

func (s *story) reportDamage(d *damage) {
	s.out.heading("what was damaged")
	whole := int64(len(d.content))
	s.out.facts(
		fact{"prices overwritten", count(d.prices, "product", "products")},
		fact{"soft-deleted", count(d.spam, "review", "reviews")},
		fact{"unharmed", count(whole-d.documents(), "document", "documents") + " of " + grouped(whole)},
		fact{"for example", fmt.Sprintf("%q, %s", shortened(nameOf(d.was), 40), d.example.id)},
		fact{"  before", about(d.was)},
		fact{"  after", s.out.paint(red, about(d.example.body))},
	)
}

func nameOf(body []byte) string {
	var f struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(body, &f); err != nil {
		return err.Error()
	}
	return f.Name
}

// about tells what can be seen of a document in a line.
func about(body []byte) string {
	price := "no price"
	if text := numberIn(body, "currentPrice"); text != "" {
		price = `"currentPrice": ` + text
	}
	return fmt.Sprintf("%-28s %s, %s", price, count(len(body), "byte", "bytes"), count(strings.Count(string(body), "\n")+1, "line", "lines"))
}

func (s *story) reportBack(d *damage, c *comeback) {
	s.out.heading("what came back")
	p, o := c.products, c.orders
	s.out.facts(
		fact{p.target.Name(), fmt.Sprintf("%s, %s, byte for byte what was there", count(p.run.Documents, "document", "documents"), sized(p.run.Bytes))},
		fact{"  for example", s.out.paint(green, about(p.example))},
		fact{o.target.Name(), fmt.Sprintf("%s, %s, at point %s", count(o.run.Documents, "document", "documents"), sized(o.run.Bytes), o.plan.Point.Name)},
		fact{"", fmt.Sprintf("orders never stopped: %s from that point to %s\nstand in the archive, not in this moment",
			count(o.later, "write", "writes"), clock(d.began))},
	)
}

func (s *story) reportRates(d *damage, c *comeback) {
	s.out.heading("times and rates")
	var files, commits int
	var parquet int64
	for _, p := range s.archived {
		files, commits, parquet = files+p.Files, commits+p.Commits, parquet+p.Bytes
	}
	written := s.catalog.tally.bytes.Load() + s.till.tally.bytes.Load()
	s.out.facts(
		fact{"loaded", fmt.Sprintf("%s in %s, %s", count(s.loaded.documents, "document", "documents"), seconds(s.loaded.took), rate(s.loaded.documents, s.loaded.took))},
		fact{"archived", fmt.Sprintf("%s, among them %s of documents, as %s of Parquet\nin %s and %s, for this demo flushes three times a second",
			count(s.records, "record", "records"), sized(written), sized(parquet), count(files, "file", "files"), count(commits, "commit", "commits"))},
		fact{"snapshots", grouped(s.snapshots()) + " taken by the compactor meanwhile"},
		fact{"restorable", fmt.Sprintf("%s after the last good write", seconds(d.covered.Sub(d.lastGood)))},
		fact{"restored", fmt.Sprintf("%s in %s, %s; verified in %s", count(c.products.run.Documents, "document", "documents"), seconds(c.products.took),
			rate(c.products.run.Documents, time.Duration(c.products.run.Seconds*float64(time.Second))), seconds(c.products.verified))},
		fact{"undone", fmt.Sprintf("%s after the last bad write, proof included", seconds(s.lastEvent().Sub(d.ended)))},
		fact{"peak memory", s.memoryLine()},
	)
}

func (s *story) lastEvent() time.Time {
	return slices.MaxFunc(s.events, func(a, b event) int { return a.at.Compare(b.at) }).at
}

// memoryLine is empty where the system does not tell.
func (s *story) memoryLine() string {
	var parts []string
	for _, program := range []string{"producer", "archiver", "compactor"} {
		if peak := s.memory[program]; peak > 0 {
			parts = append(parts, program+" "+sized(peak))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "not known here")
}

// snapshots is the number of manifests.
func (s *story) snapshots() int {
	found, err := filepath.Glob(filepath.Join(s.stack.Archive, "*", "containers", "*", "*", "snapshots", "*"))
	if err != nil {
		return 0
	}
	return len(found)
}

func (s *story) reportPlaces(d *damage, c *comeback) {
	s.out.heading("look around")
	topic := s.catalog.in.TopicName()
	changes := s.place.short(filepath.Join("archive", topic, "changes"))
	s.out.facts(
		fact{"Parquet", changes + ", a Delta table"},
		fact{"settings", s.place.short("almanac.yaml") + ", logs in " + s.place.short("logs")},
		fact{"ledger", s.place.short("ledger.jsonl") + ", every write that the emulator acknowledged"},
	)
	s.out.plain("\n  %s\n", s.out.paint(dim, "The emulators are gone, the archive is not. Every price that the example ever had, with DuckDB:"))
	s.out.plain("\n%s\n", query(changes, s.catalog.in.Name(), d.example.id))
	s.out.plain("\n  %s\n\n", s.out.paint(dim, "and with Almanac:"))
	s.out.plain("    export ALMANAC_CONFIG=%s COSMOS_KEY=none PATH=$PWD/.build/bin:$PATH\n", s.place.short("almanac.yaml"))
	container := []string{"--container", s.catalog.in.Name()}
	document := append(container, "--partition-key", d.example.key, "--id", d.example.id)
	for _, args := range [][]string{
		append([]string{"almanac-restorer", "points"}, container...),
		append([]string{"almanac-restorer", "history"}, document...),
		append([]string{"almanac-restorer", "get", "--at", c.products.plan.Point.Name}, document...),
	} {
		for _, line := range commandLines(width-4, args...) {
			s.out.plain("    %s\n", line)
		}
	}
}

// query lists the versions of a document. DISTINCT, for a file of an archiver that was killed may stand there twice.
func query(changes, container, id string) string {
	return fmt.Sprintf(`    SELECT DISTINCT generation, lsn, ts, op, document->>'$.currentPrice' AS price
    FROM '%s/container=%s/*/*.parquet'
    WHERE id = '%s' ORDER BY generation, lsn;`, changes, container, id)
}
