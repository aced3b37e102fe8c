package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prefix of every environment variable that is a setting.
const Prefix = "ALMANAC_"

// Setting is one scalar key outside `containers`.
type Setting struct {
	Path string // kafka.session_timeout
	Flag string // kafka-session-timeout
	Env  string // ALMANAC_KAFKA_SESSION_TIMEOUT
	Help string
	Hint string // what the value looks like, with its default

	tag   reflect.StructTag
	index []int
	typ   reflect.Type
}

// IsSwitch says whether the setting is true or false.
func (s Setting) IsSwitch() bool { return s.typ == reflect.TypeFor[bool]() }

// Settings lists every setting in the order of the struct: it is the one table
// from which flags, variables, defaults and `config print` come.
func Settings() []Setting { return settingsOf(reflect.TypeFor[Config](), "", nil) }

// settingsOf lists the settings of a section and of the sections in it. Fields without a key are none.
func settingsOf(section reflect.Type, above string, index []int) []Setting {
	var out []Setting
	for i := range section.NumField() {
		field := section.Field(i)
		at := append(slices.Clone(index), i)
		key := field.Tag.Get("yaml")
		path := strings.TrimPrefix(above+"."+key, ".")
		switch {
		case key == "" || above == "" && field.Type.Kind() != reflect.Struct: // not exported; containers
			continue
		case field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[Secret]():
			out = append(out, settingsOf(field.Type, path, at)...)
			continue
		}
		dashed := strings.NewReplacer(".", "-", "_", "-").Replace(path)
		one := Setting{
			Path:  path,
			Flag:  dashed,
			Env:   Prefix + strings.ToUpper(strings.ReplaceAll(dashed, "-", "_")),
			Help:  field.Tag.Get("help"),
			tag:   field.Tag,
			index: at,
			typ:   field.Type,
		}
		one.Hint = one.want()
		if value := field.Tag.Get("default"); value != "" {
			one.Hint = value
		}
		out = append(out, one)
	}
	return out
}

// want says in words what the setting takes, for errors.
func (s Setting) want() string {
	if enum := s.tag.Get("enum"); enum != "" {
		return "one of " + strings.ReplaceAll(enum, ",", ", ")
	}
	switch s.typ {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 45s or 168h"
	case reflect.TypeFor[Bytes]():
		return "a size such as 64MiB"
	case reflect.TypeFor[int]():
		return "a whole number"
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[[]string]():
		return "a list"
	case reflect.TypeFor[Secret]():
		return "a secret"
	}
	return "a string"
}

// set parses text into the setting's field and checks its limits. The error
// names neither key nor origin: the caller knows both.
func (s Setting) set(cfg *Config, text string) error {
	field := reflect.ValueOf(cfg).Elem().FieldByIndex(s.index)
	switch s.typ {
	case reflect.TypeFor[time.Duration]():
		value, err := time.ParseDuration(text)
		return s.assign(field, int64(value), text, err)
	case reflect.TypeFor[Bytes]():
		value, err := ParseBytes(text)
		return s.assign(field, int64(value), text, err)
	case reflect.TypeFor[int]():
		value, err := strconv.ParseInt(text, 10, 32)
		return s.assign(field, value, text, err)
	case reflect.TypeFor[bool]():
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is not understood, want %s", text, s.want())
		}
		field.SetBool(text == "true")
		return nil
	case reflect.TypeFor[[]string]():
		return s.setList(cfg, strings.Split(text, ","))
	case reflect.TypeFor[Secret]():
		field.Set(reflect.ValueOf(NewSecret(text)))
		return nil
	}
	if enum := s.tag.Get("enum"); enum != "" && text != s.tag.Get("default") && !slices.Contains(strings.Split(enum, ","), text) {
		return fmt.Errorf("%q is not known, want %s", text, s.want())
	}
	field.SetString(text)
	return nil
}

// setList sets a list of strings; blanks around an entry do not count.
func (s Setting) setList(cfg *Config, entries []string) error {
	list := make([]string, 0, len(entries))
	for _, entry := range entries {
		if entry = strings.TrimSpace(entry); entry == "" {
			return fmt.Errorf("the list has an empty entry")
		}
		list = append(list, entry)
	}
	reflect.ValueOf(cfg).Elem().FieldByIndex(s.index).Set(reflect.ValueOf(list))
	return nil
}

// assign puts a number into the field if it parsed and lies within the limits.
func (s Setting) assign(field reflect.Value, value int64, text string, err error) error {
	if err != nil {
		return fmt.Errorf("%q is not understood, want %s", text, s.want())
	}
	if least := s.tag.Get("min"); value < s.number(least) {
		return fmt.Errorf("%s is below the least, %s", text, least)
	}
	if most := s.tag.Get("max"); value > s.number(most) {
		return fmt.Errorf("%s is above the most, %s", text, most)
	}
	field.SetInt(value)
	return nil
}

// number reads a limit of the tags in the setting's own unit. Every numeric
// setting has both limits and a default; a test states it.
func (s Setting) number(text string) int64 {
	switch s.typ {
	case reflect.TypeFor[time.Duration]():
		value, _ := time.ParseDuration(text)
		return int64(value)
	case reflect.TypeFor[Bytes]():
		value, _ := ParseBytes(text)
		return int64(value)
	}
	value, _ := strconv.ParseInt(text, 10, 64)
	return value
}

// value returns the setting's field.
func (s Setting) value(cfg *Config) any {
	return reflect.ValueOf(cfg).Elem().FieldByIndex(s.index).Interface()
}

// nearest returns the candidate that takes the fewest edits to reach, the
// first of equals, and the number of edits.
func nearest(word string, candidates []string) (string, int) {
	best, least := "", -1
	for _, candidate := range candidates {
		if edits := distance(word, candidate); least < 0 || edits < least {
			best, least = candidate, edits
		}
	}
	return best, least
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
