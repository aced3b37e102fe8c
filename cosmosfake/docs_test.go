package cosmosfake

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// rows are those of the tables in docs/emulator.md, below a heading, by their first column.
func rows(t *testing.T, heading string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/emulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/emulator.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	found := make(map[string][]string)
	for line := range strings.Lines(section) {
		if cells := strings.Split(strings.Trim(line, "| \n"), "|"); strings.HasPrefix(line, "|") {
			found[strings.TrimSpace(cells[0])] = cells
		}
	}
	return found
}

// words are what stands in backquotes.
func words(cell string) string {
	var list []string
	for _, found := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		list = append(list, found[1])
	}
	return strings.Join(list, " ")
}

// TestVerbsAreDocumented: every verb has a row, with the properties of its body.
func TestVerbsAreDocumented(t *testing.T) {
	table := rows(t, "The admin endpoint")
	for name, verb := range new(Server).adminVerbs() {
		row, ok := table["`"+name+"`"]
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		if got := words(row[1]); name != "fault" && got != verb.knows {
			t.Errorf("%s: got %q want %q", name, got, verb.knows)
		}
	}
	var faults []string
	for first := range rows(t, "Faults") {
		faults = append(faults, strings.Fields(strings.ReplaceAll(words(first), ",", " "))...)
	}
	for _, property := range strings.Fields(adminFaultKnows) {
		if !strings.Contains(" "+strings.Join(faults, " ")+" ", " "+property+" ") {
			t.Errorf("%s of faults has no row", property)
		}
	}
}

// TestOptionsAreDocumented: every option has a row.
func TestOptionsAreDocumented(t *testing.T) {
	var known []string
	for first := range rows(t, "Options and flags") {
		known = append(known, words(first))
	}
	for field := range reflect.TypeFor[Options]().NumField() {
		name := reflect.TypeFor[Options]().Field(field).Name
		if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			t.Errorf("%s has no row", name)
		}
	}
}
