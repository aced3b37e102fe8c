package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// printer writes the story: a time, a word for the stage, and what happened. It colours words on a terminal, unless
// NO_COLOR is set.
type printer struct {
	w      io.Writer
	color  bool
	origin time.Time

	mu    sync.Mutex
	stage string
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func newPrinter(file *os.File) *printer {
	info, err := file.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &printer{w: file, color: terminal && os.Getenv("NO_COLOR") == "", origin: time.Now()}
}

func (p *printer) paint(code, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *printer) plain(text string) { fmt.Fprint(p.w, text) }

// title begins the output.
func (p *printer) title(text string) { fmt.Fprintf(p.w, "\n%s\n", p.paint(bold, text)) }

// more prints a line of the stage that is on.
func (p *printer) more(format string, args ...any) { p.say("", format, args...) }

// say prints a line of a stage; the stage's name stands on its first line only.
func (p *printer) say(stage, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	label := ""
	if stage != "" && stage != p.stage {
		label, p.stage = stage, stage
		fmt.Fprintln(p.w)
	}
	at := p.paint(dim, fmt.Sprintf("%6.1f s", time.Since(p.origin).Seconds()))
	for i, line := range strings.Split(fmt.Sprintf(format, args...), "\n") {
		if i > 0 {
			at, label = strings.Repeat(" ", 8), ""
		}
		fmt.Fprintf(p.w, "%s  %s  %s\n", at, p.paint(bold+";"+cyan, fmt.Sprintf("%-9s", label)), line)
	}
}

// block prints text as it stands, indented below what was said.
func (p *printer) block(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprint(p.w, strings.Repeat(" ", 23), p.paint(dim, strings.TrimSuffix(line, "\n")), "\n")
	}
}

func (p *printer) fail(err error, seed uint64) {
	fmt.Fprintf(p.w, "\n%s %v\n\nThe same workload again: make demo ARGS=-seed=%d\n", p.paint(bold+";"+red, "FAILED"), err, seed)
}

// count writes a number with its noun, thousands apart.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(int64(n)) + " " + many
}

func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func sized(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.0f KB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
