package restorer

import (
	"fmt"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
)

// moment is what a user asks for.
type moment struct {
	At     string `xor:"moment" required:"" placeholder:"POINT|TIME" help:"A restore point by its name, or by its exact latest time (RFC 3339)."`
	Before string `xor:"moment" required:"" placeholder:"TIME" help:"The newest restore point in which nothing is later than TIME (RFC 3339, inclusive)."`
}

// resolve finds the point, and refuses one that is not exact (INV-5).
func (m moment) resolve(in *archive.Timeline) (archive.Point, error) {
	point, err := m.find(in)
	if err != nil {
		return archive.Point{}, err
	}
	if !point.Claim.Exact() {
		return archive.Point{}, in.Refuse(point.Latest, fmt.Sprintf("point %s is not exact: %s", point.Name, strings.Join(point.Claim.Taints, "; ")))
	}
	return point, nil
}

func (m moment) find(in *archive.Timeline) (archive.Point, error) {
	if m.Before != "" {
		at, err := parseTime("--before", m.Before)
		if err != nil {
			return archive.Point{}, err
		}
		return in.Before(at)
	}
	if _, err := archive.ParsePointName(m.At); err == nil {
		return in.ByName(m.At)
	}
	at, err := parseTime("--at", m.At)
	if err != nil {
		return archive.Point{}, err
	}
	return in.At(at)
}

func parseTime(flag, text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text) // takes fractions of a second too
	if err == nil {
		return at.UTC(), nil
	}
	if flag == "--at" {
		return at, usage("--at %q is neither a point, such as 20261120T101500.999Z-1a2b3c4d (see `points`), nor a time, such as 2026-11-20T10:15:00.999Z", text)
	}
	return at, usage("%s %q is no time: want RFC 3339, such as 2026-11-20T10:15:00Z", flag, text)
}
