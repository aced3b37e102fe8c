package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// point is a restore point as the restorer prints it.
type point struct {
	oracle.Point
	Exact bool   `json:"exact"`
	Claim string `json:"claim"`
}

// timeline is what `points` prints.
type timeline struct {
	Until   time.Time `json:"restorable_until"`
	Points  []point   `json:"points"`
	Pending []string  `json:"pending"`
}

// choice tells why a point is not the one that is waited for; empty when it is.
type choice func(*point) string

func anyPoint(*point) string { return "" }

// heads is the last LSN of every range of a container, by the ledger.
type heads map[oracle.Span]int64

func (s *story) heads(c harness.Container) (heads, error) {
	history, err := s.history(c)
	if err != nil {
		return nil, err
	}
	out := heads{}
	for _, r := range history.Ranges {
		out[r.Span] = r.Lines[len(r.Lines)-1].LSN
	}
	return out, nil
}

func (s *story) history(c harness.Container) (*oracle.History, error) {
	ledger, err := oracle.ReadLedger(s.stack.Ledger)
	if err != nil {
		return nil, err
	}
	history := ledger.ByName(c.Name())
	if history == nil {
		return nil, fmt.Errorf("the ledger knows no container %s", c.Name())
	}
	return history, nil
}

// covers is the choice of a point that holds every write up to the heads.
func (h heads) covers(p *point) string {
	reached := 0
	for _, cut := range p.Cuts {
		if cut.LSN >= h[cut.Range] {
			reached++
		}
	}
	if reached == len(p.Cuts) {
		return ""
	}
	return fmt.Sprintf("the newest point holds all of %d of %d ranges", reached, len(p.Cuts))
}

// awaitPoint waits for the newest exact point that is chosen, and tells meanwhile what there is.
func (s *story) awaitPoint(ctx context.Context, stage, what string, c harness.Container, choose choice) (found *point, err error) {
	var asked time.Time
	missing := "not asked yet"
	err = s.await(ctx, stage, what, func(ctx context.Context) (string, error) {
		if time.Since(asked) < glance {
			return missing, nil
		}
		var t timeline
		err := s.ask(ctx, &t, "points", "--container", c.Name(), "--last", "10")
		asked = time.Now()
		if err != nil { // the archive begins with the first flush
			missing, _, _ = strings.Cut(err.Error(), "\n")
			return missing, nil
		}
		missing = "no restore point yet"
		if len(t.Pending) > 0 {
			missing += ": " + t.Pending[0]
		}
		for i := len(t.Points) - 1; i >= 0; i-- {
			p := &t.Points[i]
			if !p.Exact {
				continue
			}
			why := choose(p)
			if why == "" {
				found = p
				return "", nil
			}
			if i == len(t.Points)-1 {
				missing = why
			}
		}
		return missing, nil
	})
	return found, err
}

// await looks at a condition until it holds, and prints every second what is missing.
func (s *story) await(ctx context.Context, stage, what string, look func(context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	said, told := time.Now(), ""
	return harness.Until(ctx, what, func() (string, error) {
		missing, err := look(ctx)
		if err == nil {
			err = s.stack.Failed()
		}
		if err == nil && missing != "" && time.Since(said) >= pulse {
			said = time.Now()
			text := "waiting: " + missing
			if missing == told {
				text = "waiting still"
			}
			told = missing
			s.out.progress(stage, "%s", wrapped(text, width-margin))
		}
		return missing, err
	})
}

// wrapped breaks a text into lines of at most so many letters, between words.
func wrapped(text string, most int) string {
	var out strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		long := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+long > most:
			out.WriteByte('\n')
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += long
	}
	return out.String()
}

// shortened cuts a text to so many letters.
func shortened(text string, most int) string {
	letters := []rune(text)
	if len(letters) <= most {
		return text
	}
	return string(letters[:most-1]) + "…"
}

// ask runs the restorer for its JSON.
func (s *story) ask(ctx context.Context, into any, args ...string) error {
	r, err := s.stack.Run(ctx, "restorer", append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := r.Err(); err != nil {
		return err
	}
	return decode(r, into)
}

func decode(r *harness.Result, into any) error {
	if err := json.Unmarshal(r.Stdout, into); err != nil {
		return fmt.Errorf("read the result of %s: %w", r.Args, err)
	}
	return nil
}
