package restorer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Reader reads containers of the account that is restored into; *cosmos.Client is one.
type Reader interface {
	ReadContainer(ctx context.Context, database, name string) (*cosmos.Container, error)
	FeedRanges(ctx context.Context, database, name string) ([]schemas.FeedRange, error)
	ReadChanges(ctx context.Context, o cosmos.ReadOptions) (*cosmos.Page, error)
}

// Writer writes to it; *cosmos.Writer is one. Both methods are idempotent and try again by themselves.
type Writer interface {
	CreateContainer(ctx context.Context, database string, definition []byte) error
	CreateItem(ctx context.Context, c cosmos.ContainerRef, item cosmos.Item) (cosmos.Written, error)
}

// Name is a database and a container in it.
type Name struct {
	Database  string `json:"database"`
	Container string `json:"container"`
}

// String is `database.container`.
func (n Name) String() string { return n.Database + "." + n.Container }

// parseTarget reads `database.container`. A database whose own name has dots is known when it is the source's.
func parseTarget(text, sourceDatabase string) (Name, error) {
	database, container, ok := strings.Cut(text, ".")
	if rest, own := strings.CutPrefix(text, sourceDatabase+"."); own {
		database, container, ok = sourceDatabase, rest, true
	}
	if !ok || database == "" || container == "" {
		return Name{}, usage("--to %q is no container: want database.container", text)
	}
	for _, id := range []string{database, container} {
		if len(id) > 255 || strings.ContainsAny(id, `/\?#`) {
			return Name{}, usage("--to %q: %q is no name in Cosmos DB: 255 bytes at most, without / \\ # ?", text, id)
		}
	}
	return Name{Database: database, Container: container}, nil
}

// defaultTarget names the container that a restore makes when it is not told: the same point has the same target, so
// that a restore that was killed goes on when it is run again.
func defaultTarget(source Name, latest time.Time) Name {
	return Name{
		Database:  source.Database,
		Container: source.Container + "-restored-" + strings.ReplaceAll(latest.UTC().Format("20060102T150405.000Z"), ".", ""),
	}
}

// findTarget reads the target; nil is none. A missing database is an error, because its throughput is its owner's choice.
func findTarget(ctx context.Context, reader Reader, target Name) (*cosmos.Container, error) {
	container, err := reader.ReadContainer(ctx, target.Database, target.Container)
	var refused *cosmos.StatusError
	const ownerMissing = 1003
	switch {
	case err == nil:
		return container, nil
	case !errors.As(err, &refused) || refused.Status != http.StatusNotFound:
		return nil, err
	case refused.Substatus == ownerMissing:
		return nil, missingDatabase(target)
	}
	return nil, nil
}

func missingDatabase(target Name) error {
	return usage("database %s does not exist; create it first (az cosmosdb sql database create), or name another by --to", target.Database)
}

const (
	pageHint     = 1000 // documents asked for per page
	readAttempts = 10   // at one page
	readWait     = 200 * time.Millisecond

	// A replica that lags says "nothing new" too early, and no answer may tell. Replicas lag for moments; so every range
	// is asked again after a moment, twice.
	confirmations = 2
	confirmWait   = 300 * time.Millisecond
	lagPatience   = 300 // waits of readWait for a replica that is known to be behind: one minute
)

// surveyor reads what stands in a container.
type surveyor struct {
	reader   Reader
	wait     func(ctx context.Context, d time.Duration) error
	progress progress
	deleted  func(document []byte) (bool, error) // nil: nobody asks
}

// survey reads all documents of the container through its change feed from the beginning, range by range.
func (s *surveyor) survey(ctx context.Context, container *cosmos.Container, into *survey) error {
	ranges, err := s.reader.FeedRanges(ctx, container.Database, container.Name)
	if err != nil {
		return err
	}
	defer s.progress.tell(func(time.Duration) string {
		return fmt.Sprintf("read %s of target %s", plural(into.count.Load(), "document", "documents"), container)
	})()
	reading := make([]rangeReading, len(ranges))
	for pass := range 1 + confirmations {
		if pass > 0 {
			if err := s.wait(ctx, confirmWait); err != nil {
				return err
			}
		}
		for i := range reading {
			r := &reading[i]
			r.options = cosmos.ReadOptions{Container: container, Range: ranges[i], MaxItems: pageHint, Token: r.options.Token}
			if err := s.drain(ctx, r, into); err != nil {
				return fmt.Errorf("read target %s: %w", container, err)
			}
		}
	}
	return nil
}

// rangeReading is how far a range was read.
type rangeReading struct {
	options cosmos.ReadOptions
	newest  schemas.LSN // that any replica reported
	scan    schemas.Document
	body    []byte
}

// drain reads a range until nothing is new on a replica that is not known to lag.
func (s *surveyor) drain(ctx context.Context, r *rangeReading, into *survey) error {
	for lagging := 0; ; {
		page, err := s.read(ctx, r.options)
		if err != nil {
			return err
		}
		r.newest = max(r.newest, page.Session.Newest)
		r.options.Token = page.Token
		for _, item := range page.Items {
			if err := r.add(item, s.deleted, into); err != nil {
				return err
			}
		}
		switch {
		case !page.NotModified:
			continue
		case !page.Positioned || page.Position >= r.newest:
			return nil
		}
		if lagging++; lagging > lagPatience {
			return fmt.Errorf("range %s: a replica stays behind at %s, newest is %s; try again", r.options.Range, page.Position, r.newest)
		}
		if err := s.wait(ctx, readWait); err != nil {
			return err
		}
	}
}

func (r *rangeReading) add(item []byte, deleted func([]byte) (bool, error), into *survey) (err error) {
	if r.body, err = schemas.AppendWithoutSystem(r.body[:0], item); err != nil {
		return err
	}
	if err := r.scan.Scan(r.options.Container.Key, item); err != nil {
		return fmt.Errorf("a document that no restore writes stands in it: %w", err)
	}
	e := entry{key: r.scan.Key, id: r.scan.ID, lsn: r.scan.LSN, hash: sha256.Sum256(r.body)}
	if deleted != nil {
		if e.deleted, err = deleted(item); err != nil {
			return fmt.Errorf("document %s %q: %w", e.key, e.id, err)
		}
	}
	return into.put(&e)
}

// read reads one page, and again when the service or the network is in trouble.
func (s *surveyor) read(ctx context.Context, o cosmos.ReadOptions) (*cosmos.Page, error) {
	for attempt := 1; ; attempt++ {
		page, err := s.reader.ReadChanges(ctx, o)
		if err == nil || attempt == readAttempts || ctx.Err() != nil || !mayPass(err) {
			return page, err
		}
		if err := s.wait(ctx, time.Duration(attempt)*readWait); err != nil {
			return nil, err
		}
	}
}

func mayPass(err error) bool {
	if errors.Is(err, cosmos.ErrTopology) || errors.Is(err, cosmos.ErrIncarnation) {
		return false
	}
	var coded interface{ ExitCode() int }
	return !errors.As(err, &coded) || coded.ExitCode() == 1
}

// isEmpty tells whether no range of the container shows a document. Deleted ones leave no trace in the feed.
func (s *surveyor) isEmpty(ctx context.Context, container *cosmos.Container) (bool, error) {
	ranges, err := s.reader.FeedRanges(ctx, container.Database, container.Name)
	if err != nil {
		return false, err
	}
	for _, r := range ranges {
		page, err := s.read(ctx, cosmos.ReadOptions{Container: container, Range: r, MaxItems: 1})
		if err != nil {
			return false, fmt.Errorf("read target %s: %w", container, err)
		}
		if len(page.Items) > 0 {
			return false, nil
		}
	}
	return true, nil
}
