package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// screen prints the story: when, at which stage, what. On a terminal it colours words, unless NO_COLOR is set.
type screen struct {
	w      io.Writer
	color  bool
	origin time.Time
	stage  string
}

// style is a terminal's code for how words look.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "1;31"
	green  style = "1;32"
	stages style = "1;36"
)

// width is the number of columns that lines keep to.
const width = 100

// margin is the width of what stands before the text of a line: time and stage.
const margin = 18

func newScreen(file *os.File, noColor string) *screen {
	info, err := file.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &screen{w: file, color: terminal && noColor == "", origin: time.Now()}
}

func (s *screen) paint(how style, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + string(how) + "m" + text + "\x1b[0m"
}

func (s *screen) plain(format string, args ...any) { fmt.Fprintf(s.w, format, args...) }

// title begins the output: text on the left, a note at the right edge.
func (s *screen) title(text, note string) {
	gap := max(2, width-utf8.RuneCountInString(text)-utf8.RuneCountInString(note))
	s.plain("\n%s%s%s\n", s.paint(bold, text), strings.Repeat(" ", gap), s.paint(dim, note))
}

// say prints what happened at a stage; the stage's name stands on its first line only. Further lines of the text stand
// below.
func (s *screen) say(stage, format string, args ...any) {
	s.lines("", stage, fmt.Sprintf(format, args...))
}

// progress prints a line that only shows that something goes on.
func (s *screen) progress(stage, format string, args ...any) {
	s.lines(dim, stage, fmt.Sprintf(format, args...))
}

func (s *screen) lines(how style, stage, text string) {
	label := ""
	if stage != s.stage {
		label, s.stage = stage, stage
		s.plain("\n")
	}
	at := s.paint(dim, fmt.Sprintf("%5.1f s", time.Since(s.origin).Seconds()))
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if how != "" {
			line = s.paint(how, line)
		}
		s.plain("%s  %s  %s\n", at, s.paint(stages, fmt.Sprintf("%-7s", label)), line)
		at, label = strings.Repeat(" ", 7), ""
	}
}

// command prints a command of the restorer that is run now.
func (s *screen) command(stage string, args ...string) {
	lines := commandLines(width-margin, append([]string{"$ almanac-restorer"}, args...)...)
	for i := range lines {
		lines[i] = s.paint(bold, lines[i])
	}
	s.say(stage, "%s", strings.Join(lines, "\n"))
}

// heading begins a part of the report.
func (s *screen) heading(text string) { s.plain("\n%s\n", s.paint(stages, strings.ToUpper(text))) }

// fact is a line of the report.
type fact struct{ name, text string }

// facts prints names and texts in two columns; further lines of a text stand below its first.
func (s *screen) facts(list ...fact) {
	widest := 0
	for _, f := range list {
		widest = max(widest, utf8.RuneCountInString(f.name))
	}
	for _, f := range list {
		name := f.name
		for line := range strings.Lines(f.text) {
			pad := strings.Repeat(" ", widest-utf8.RuneCountInString(name))
			s.plain("  %s%s  %s\n", s.paint(dim, name), pad, strings.TrimSuffix(line, "\n"))
			name = ""
		}
	}
}

func (s *screen) fail(err error) { s.plain("\n%s %v\n", s.paint(red, "FAILED"), err) }

func (s *screen) tails(text, where string) {
	if text != "" {
		s.plain("\nhow the logs in %s end:\n%s\n", where, text)
	}
}

// commandLines writes a command that a shell understands, in lines of at most so many columns where its words allow it.
// An argument is never broken, and a flag stays with its value.
func commandLines(most int, args ...string) []string {
	var words []string
	for i, arg := range args {
		word := quotedForShell(arg)
		if last := len(words) - 1; i > 1 && strings.HasPrefix(args[i-1], "--") && !strings.HasPrefix(arg, "--") {
			words[last] += " " + word
		} else {
			words = append(words, word)
		}
	}
	const indent = "    "
	lines := []string{words[0]}
	for _, word := range words[1:] {
		last := len(lines) - 1
		if utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) > most-2 {
			lines[last] += " \\"
			lines = append(lines, indent+word)
			continue
		}
		lines[last] += " " + word
	}
	return lines
}

// quotedForShell quotes what a shell would not take as it stands. A first word such as `$ program` is none of it.
func quotedForShell(arg string) string {
	if !strings.ContainsAny(arg, `"'[]{}<>*?&|;()`) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
