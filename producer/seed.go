package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/sleep"
	"github.com/cosmos-almanac/almanac/schemas"
)

// ownerOf is the topic partition whose owner reads the range.
func ownerOf(r schemas.FeedRange, partitions int32) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.String())) // never errs
	return int32(h.Sum32() % uint32(partitions))
}

// openSeed reads the seed of a container, or makes it with what the container looks like now. Whoever finds it not done
// makes the checkpoints that are missing, and then marks it done; all steps are put-if-absent or compare-and-set, so any
// number of producers may be at it, and be killed anywhere.
func (p *Producer) openSeed(ctx context.Context, topic *topic, c config.Container, live *cosmos.Container) (*schemas.Seed, error) {
	name := schemas.SeedFile(topic.name, c.Name())
	for range settleAttempts {
		seed, version, err := readSeed(ctx, p.root, name)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			if err := p.plantSeed(ctx, topic, c, live, name); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		case seed.Start != schemas.Start(c.Start):
			return nil, usagef("container %s began with start: %s, almanac.yaml says %s: what was begun cannot be changed; put it back", c.Name(), seed.Start, c.Start)
		case topic.partitions < seed.Partitions:
			return nil, usagef("topic %s has %d partitions, container %s was begun with %d: a topic may grow, never shrink; archive under another topic name",
				topic.name, topic.partitions, c.Name(), seed.Partitions)
		case seed.Done:
			return seed, nil
		}
		if err := p.growSeed(ctx, topic.name, seed); err != nil {
			return nil, err
		}
		seed.Done = true
		if err := putJSON(ctx, p.root, name, seed, blob.IfVersion(version)); err != nil && !errors.Is(err, blob.ErrCondition) {
			p.log.Warn("seed is not certain; reading it again", "name", name, "error", err)
			if err := sleep.For(ctx, settleWait); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("seed %s: the store did not take it in %d attempts", name, settleAttempts)
}

func readSeed(ctx context.Context, store blob.Store, name string) (*schemas.Seed, string, error) {
	body, info, err := blob.ReadAll(ctx, store, name, checkpointLimit)
	if err != nil {
		return nil, "", fmt.Errorf("read seed %s: %w", name, err)
	}
	seed, err := schemas.DecodeSeed(body)
	if err != nil {
		return nil, "", fmt.Errorf("read seed %s: %w", name, err)
	}
	return seed, info.Version, nil
}

func (p *Producer) plantSeed(ctx context.Context, topic *topic, c config.Container, live *cosmos.Container, name string) error {
	ranges, err := p.account.FeedRanges(ctx, c.Database, c.Container)
	if err != nil {
		return err
	}
	seed := &schemas.Seed{
		Container: c.Name(), Incarnation: live.RID, Ranges: ranges, Start: schemas.Start(c.Start), Mode: schemas.LatestVersion,
		Partitions: topic.partitions, WriteID: schemas.NewUUID(),
	}
	if err := putJSON(ctx, p.root, name, seed, blob.IfAbsent()); err != nil && !errors.Is(err, blob.ErrCondition) {
		return err // it is read again by the next run, whoever's it is
	}
	return nil
}

// growSeed makes the checkpoints that are missing.
func (p *Producer) growSeed(ctx context.Context, topic string, seed *schemas.Seed) error {
	for _, r := range seed.Ranges {
		first := &schemas.Checkpoint{
			Container: seed.Container, Incarnation: seed.Incarnation, Range: r, Mode: seed.Mode, Config: cosmos.NoConfig,
			Basis: schemas.BasisLoading, Offsets: schemas.Offsets{}, WriteID: schemas.NewUUID(), WrittenBy: p.name, WrittenAt: p.now().UTC(),
		}
		if seed.Start == schemas.StartNow {
			first.Basis = schemas.BasisNone
		}
		name := schemas.CheckpointFile(topic, seed.Container, r)
		if err := putJSON(ctx, p.root, name, first, blob.IfAbsent()); err != nil && !errors.Is(err, blob.ErrCondition) {
			return err
		}
	}
	return nil
}

type encoder interface{ Encode() ([]byte, error) }

func putJSON(ctx context.Context, store blob.Store, name string, value encoder, condition blob.Condition) error {
	body, err := value.Encode()
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := store.Put(ctx, name, bytes.NewReader(body), condition); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
