package blobtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// clockSlack is how far a file system's coarse clock may be behind.
const clockSlack = 20 * time.Millisecond

const (
	absentRounds = 20 // objects that every racer tries to be first at
	increments   = 10 // lines that every racer adds to one object
)

func together(t *testing.T, run func(racer int) error) {
	t.Helper()
	errs := make([]error, Racers)
	var group sync.WaitGroup
	for racer := range Racers {
		group.Go(func() { errs[racer] = run(racer) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func raceAbsent(t *testing.T, s blob.Store) {
	together(t, func(racer int) error { return RaceAbsent(t.Context(), s, racer) })
	CheckAbsent(t, s)
}

func raceVersion(t *testing.T, s blob.Store) {
	together(t, func(racer int) error { return RaceVersion(t.Context(), s, racer) })
	CheckVersion(t, s)
}

// RaceAbsent is one of Racers, in whatever process, who all try to be the first at the same names. It notes in the store
// what it won.
func RaceAbsent(ctx context.Context, s blob.Store, racer int) error {
	for round := range absentRounds {
		name := fmt.Sprintf("first/%02d/object", round)
		_, err := s.Put(ctx, name, strings.NewReader(content(racer)), blob.IfAbsent())
		if errors.Is(err, blob.ErrCondition) {
			// Somebody has won, so there is something, and it is whole.
			data, _, err := blob.ReadAll(ctx, s, name, 1<<20)
			if err != nil {
				return fmt.Errorf("racer %d: read what another won: %w", racer, err)
			}
			if winner, _, _ := strings.Cut(string(data), "\n"); string(data) != contentOf(winner) || winner == strconv.Itoa(racer) {
				return fmt.Errorf("racer %d: lost %s, and found %d bytes of %q", racer, name, len(data), winner)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("racer %d: %w", racer, err)
		}
		if _, err := s.Put(ctx, fmt.Sprintf("won/%02d/%02d", round, racer), strings.NewReader(""), blob.Always()); err != nil {
			return err
		}
	}
	return nil
}

func content(racer int) string { return contentOf(strconv.Itoa(racer)) }

func contentOf(racer string) string { return racer + "\n" + strings.Repeat(racer, 5000) }

// CheckAbsent makes sure that every object of RaceAbsent has one winner, and is the winner's.
func CheckAbsent(t *testing.T, s blob.Store) {
	t.Helper()
	for round := range absentRounds {
		prefix := fmt.Sprintf("won/%02d/", round)
		var winners []string
		err := s.List(t.Context(), prefix, func(info blob.Info) error {
			winners = append(winners, strings.TrimLeft(strings.TrimPrefix(info.Name, prefix), "0"))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(winners) != 1 {
			t.Errorf("round %d: got winners %v, want one", round, winners)
			continue
		}
		winner := winners[0]
		if winner == "" {
			winner = "0"
		}
		wantContent(t, s, fmt.Sprintf("first/%02d/object", round), contentOf(winner))
	}
}

// ErrUnsettled is the error of a Put whose answer was lost, and of which nobody can tell any more whether it was done:
// it is refused now, by another or by itself. Stores under test never return it; a wrapper that loses answers does.
var ErrUnsettled = errors.New("the answer was lost, and the object was written again since")

// RaceVersion is one of Racers who all add their lines to one object by compare-and-set.
func RaceVersion(ctx context.Context, s blob.Store, racer int) error {
	unsettled := false
	for done := 0; done < increments; {
		mine := fmt.Sprintf("%d.%d\n", racer, done)
		data, info, err := blob.ReadAll(ctx, s, "lines", 1<<20)
		cond := blob.IfVersion(info.Version)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			cond = blob.IfAbsent()
		case err != nil:
			return fmt.Errorf("racer %d: %w", racer, err)
		case !strings.Contains("\n"+string(data), "\n"+mine):
		case unsettled:
			done, unsettled = done+1, false
			continue
		default:
			return fmt.Errorf("racer %d: a put that was refused has been done", racer)
		}
		_, err = s.Put(ctx, "lines", strings.NewReader(string(data)+mine), cond)
		unsettled = errors.Is(err, ErrUnsettled)
		if err == nil {
			done++
		} else if !unsettled && !errors.Is(err, blob.ErrCondition) {
			return fmt.Errorf("racer %d: %w", racer, err)
		}
	}
	return nil
}

// CheckVersion makes sure that no line of RaceVersion was lost, and none was written twice.
func CheckVersion(t *testing.T, s blob.Store) {
	t.Helper()
	data, _, err := blob.ReadAll(t.Context(), s, "lines", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"), []string(nil)
	for racer := range Racers {
		for done := range increments {
			want = append(want, fmt.Sprintf("%d.%d", racer, done))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got lines %v, want %v", got, want)
	}
}

// raceReads reads an object that others replace: every read is one version of it, whole, with that version's info.
func raceReads(t *testing.T, s blob.Store) {
	put(t, s, "o", content(0))
	together(t, func(racer int) error {
		for range 20 {
			if racer%2 == 0 {
				if _, err := s.Put(t.Context(), "o", strings.NewReader(content(racer)), blob.Always()); err != nil {
					return err
				}
				continue
			}
			data, _, err := blob.ReadAll(t.Context(), s, "o", 1<<20)
			if err != nil {
				return err
			}
			if writer, _, _ := strings.Cut(string(data), "\n"); string(data) != contentOf(writer) {
				return fmt.Errorf("read %d bytes of %q, want one version", len(data), writer)
			}
		}
		return nil
	})
}
