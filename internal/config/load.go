package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// DefaultPath is the file that is read when none is named.
const DefaultPath = "almanac.yaml"

const maxFile = 1 << 20 // thousands of containers

// Error is everything that is wrong with a configuration, one problem a line,
// each with its place, its key and the remedy.
type Error struct{ Problems []string }

func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// ExitCode is 2: usage or configuration.
func (e *Error) ExitCode() int { return 2 }

// Load reads the file and puts env (as os.Environ gives it) and overrides
// (flags, by path of the setting) over it. What it returns is complete and
// valid; its error is an *Error with every problem that was found.
//
// Variables of the prefix that are no setting are ignored, because Kubernetes
// injects some of that form for a service called "almanac"; one that is a
// setting but for two letters is an error. An empty variable is not set.
func Load(path string, env []string, overrides map[string]string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w; name the file with --config or %sCONFIG", err, Prefix)
		}
		return nil, &Error{Problems: []string{"read configuration: " + err.Error()}}
	}
	if len(text) > maxFile {
		return nil, &Error{Problems: []string{fmt.Sprintf("read configuration: %s has %d bytes, at most %v are read", path, len(text), Bytes(maxFile))}}
	}
	return Parse(path, text, env, overrides)
}

// Parse is Load for a text in memory; path only names it.
func Parse(path string, text []byte, env []string, overrides map[string]string) (*Config, error) {
	l := loader{
		cfg:      &Config{path: path, origins: map[string]string{}},
		settings: map[string]Setting{},
		env:      map[string]string{},
	}
	for _, pair := range env {
		if name, value, ok := strings.Cut(pair, "="); ok {
			l.env[name] = value
		}
	}
	l.defaults()
	l.file(text)
	l.variables()
	l.flags(overrides)
	l.derive()
	l.check()
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return l.cfg, nil
}

// Require returns an *Error that names each of the keys (paths of settings, or
// "containers") that has no value. A program asks for what it needs: one
// almanac.yaml serves programs of which none needs everything.
func (c *Config) Require(keys ...string) error {
	var problems []string
	for _, setting := range Settings() {
		if slices.Contains(keys, setting.Path) && isEmpty(setting.value(c)) {
			problems = append(problems, fmt.Sprintf("%s: %s is needed and not set; set it there, by --%s or by %s",
				c.path, setting.Path, setting.Flag, setting.Env))
		}
	}
	if slices.Contains(keys, "containers") && len(c.Containers) == 0 {
		problems = append(problems, c.path+": containers: at least one container is needed")
	}
	if len(problems) > 0 {
		return &Error{Problems: problems}
	}
	return nil
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	case Secret:
		return !v.IsSet()
	}
	return false
}

// loader fills a Config and gathers what is wrong.
type loader struct {
	cfg      *Config
	settings map[string]Setting // by path
	env      map[string]string
	problems []string
}

func (l *loader) problem(where, key, format string, args ...any) {
	text := where + ": " + fmt.Sprintf(format, args...)
	if key != "" {
		text = where + ": " + key + ": " + fmt.Sprintf(format, args...)
	}
	l.problems = append(l.problems, text)
}

func (l *loader) defaults() {
	for _, setting := range Settings() {
		l.settings[setting.Path] = setting
		l.cfg.origins[setting.Path] = "default"
		if value := setting.tag.Get("default"); value != "" {
			l.set(setting, value, "default")
		}
	}
}

func (l *loader) set(setting Setting, text, origin string) {
	if err := setting.set(l.cfg, text); err != nil {
		l.problem(origin, setting.Path, "%v", err)
		return
	}
	l.cfg.origins[setting.Path] = origin
}

func (l *loader) variables() {
	names := []string{Prefix + "CONFIG"}
	for _, path := range slices.Sorted(maps.Keys(l.settings)) {
		setting := l.settings[path]
		names = append(names, setting.Env)
		if value := l.env[setting.Env]; value != "" {
			l.set(setting, value, "environment "+setting.Env)
		}
	}
	const misspelt = 2 // edits; more than that is somebody else's variable
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if near, edits := nearest(name, names); edits > 0 && edits <= misspelt {
			l.problem("environment "+name, "", "unknown variable; nearest known variable: %s", near)
		}
	}
}

func (l *loader) flags(overrides map[string]string) {
	for _, path := range slices.Sorted(maps.Keys(overrides)) {
		setting, ok := l.settings[path]
		if !ok {
			near, _ := nearest(path, slices.Sorted(maps.Keys(l.settings)))
			l.problem("override", path, "unknown key; nearest known key: %s", near)
			continue
		}
		l.set(setting, overrides[path], "--"+setting.Flag)
	}
}
