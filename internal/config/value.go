package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes, written as a number or with a unit: 64MiB, 1MB.
type Bytes int64

// sizeUnits in the order in which String tries them: largest binary unit first.
func sizeUnits() []struct {
	suffix string
	size   int64
} {
	return []struct {
		suffix string
		size   int64
	}{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"B", 1},
	}
}

// ParseBytes reads a whole number of bytes, with or without a unit.
func ParseBytes(s string) (Bytes, error) {
	digits, factor := s, int64(1)
	for _, unit := range sizeUnits() {
		if rest, ok := strings.CutSuffix(s, unit.suffix); ok {
			digits, factor = strings.TrimSpace(rest), unit.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return 0, errors.New("not a size")
	}
	return Bytes(n * factor), nil
}

// String prints the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, unit := range sizeUnits()[:4] {
		if b != 0 && int64(b)%unit.size == 0 {
			return strconv.FormatInt(int64(b)/unit.size, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// masked is what a secret prints as, everywhere.
const masked = "***"

// Secret is a value that never prints: String, %v, %#v, JSON and slog all give
// "***" (and nothing for a secret that is not set).
//
// A reference that does not resolve ({env: NAME} without the variable, {file:
// PATH} without the file) is no error of Load, because one almanac.yaml serves
// programs of which not all need the secret; Reveal returns it.
//
// Keys are rotated while programs run, so Reveal reads a {file: PATH} each time.
type Secret struct {
	value string
	err   error

	setting, path string // of a secret in a file
}

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the value, or why there is none. It is the only way to it.
func (s Secret) Reveal() (string, error) {
	if s.path != "" {
		s = secretOfFile(s.setting, s.path)
	}
	if s.err != nil {
		return "", s.err
	}
	if s.value == "" {
		return "", errors.New("secret is not set")
	}
	return s.value, nil
}

// IsSet says whether a value or a reference to one was given.
func (s Secret) IsSet() bool { return s.value != "" || s.err != nil || s.path != "" }

func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return masked
}

// Format keeps every verb, %#v and %x too, from printing the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalJSON masks.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LogValue masks.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
