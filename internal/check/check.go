// Package check is what the verb `check` of all programs says, and how: whether everything that a program will need is
// there, before anything runs.
//
// Nouns. A finding is one thing that was looked at: its subject (a setting, a topic, a container), what was found, how
// severe that is and, unless it is well, what to do about it. A report is all findings of a program. A probe does what
// the program will do, on something of its own that it removes.
//
// Guarantees. A finding that is not ok has a remedy. A report's error has exit code 2 when something must be mended
// before the program can do its work, else 1 when something did not answer, else there is none.
package check

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Severity is what a finding means for the program.
type Severity string

const (
	// OK is as it should be.
	OK Severity = "ok"
	// Warning lets the program work, and something would be better otherwise.
	Warning Severity = "warning"
	// Unreachable is what did not answer, so that nothing is known: trying again may help.
	Unreachable Severity = "unreachable"
	// Stop must be mended, or the program does not work, or not as it promises.
	Stop Severity = "stop"
)

// Finding is one thing that was looked at.
type Finding struct {
	Subject  string   `json:"subject"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Remedy   string   `json:"remedy,omitempty"`

	detail string // see Failed
}

// Good is a finding that is as it should be.
func Good(subject, format string, args ...any) Finding {
	return Finding{Subject: subject, Severity: OK, Text: fmt.Sprintf(format, args...)}
}

// Bad is any other; Fix completes it.
func Bad(severity Severity, subject, format string, args ...any) Finding {
	return Finding{Subject: subject, Severity: severity, Text: fmt.Sprintf(format, args...)}
}

// Fix gives the finding a remedy, unless the error that it is of knew a better one.
func (f Finding) Fix(format string, args ...any) Finding {
	if f.Remedy == "" {
		f.Remedy = fmt.Sprintf(format, args...)
	}
	return f
}

// Failed is the finding of an error: it stops when the error says by its exit code, or is known, to meet everybody who
// tries again; otherwise something was unreachable. An error that has Advice, which is what is wrong and the remedy, is
// told in those words; what it has as Detail is kept for the log.
func Failed(subject string, err error) Finding {
	f := Finding{Subject: subject, Severity: Unreachable, Text: err.Error()}
	var coded interface{ ExitCode() int }
	var lasting interface{ Lasting() bool }
	if errors.As(err, &coded) && coded.ExitCode() > 1 || errors.As(err, &lasting) && lasting.Lasting() || errors.Is(err, fs.ErrPermission) {
		f.Severity = Stop
	}
	var adviser interface{ Advice() (what, remedy string) }
	if errors.As(err, &adviser) {
		f.Text, f.Remedy = adviser.Advice()
	}
	var detailed interface{ Detail() string }
	if errors.As(err, &detailed) {
		f.detail = detailed.Detail()
	}
	return f
}

// Fails says whether one of the findings keeps a program from its work, so that what builds upon it need not be asked.
func Fails(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Stop || f.Severity == Unreachable })
}

// Report is what a program found.
type Report struct {
	Program  string    `json:"program"`
	Severity Severity  `json:"severity"` // the worst
	Findings []Finding `json:"findings"`
}

// NewReport gathers findings.
func NewReport(program string, findings ...[]Finding) *Report {
	r := &Report{Program: program, Severity: OK, Findings: []Finding{}}
	for _, some := range findings {
		r.Findings = append(r.Findings, some...)
	}
	for _, f := range r.Findings {
		if rank(f.Severity) > rank(r.Severity) {
			r.Severity = f.Severity
		}
	}
	return r
}

func rank(s Severity) int {
	switch s {
	case Warning:
		return 1
	case Unreachable:
		return 2
	case Stop:
		return 3
	case OK:
	}
	return 0
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	var out strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&out, "%-11s  %s: %s\n", f.Severity, f.Subject, indent(f.Text))
		if f.Remedy != "" {
			fmt.Fprintf(&out, "%-11s  %s\n", "", "-> "+indent(f.Remedy))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func indent(text string) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 15))
}

// Err is nil when the program can work, warnings or not.
func (r *Report) Err() error {
	count := 0
	var details []string
	for _, f := range r.Findings {
		if f.Severity == r.Severity {
			count++
		}
		if f.detail != "" {
			details = append(details, f.Subject+": "+f.detail)
		}
	}
	detail := strings.Join(details, "\n")
	switch r.Severity {
	case Stop:
		return &reportError{fmt.Sprintf("%s must be mended before %s can do its work", number(count, "finding"), r.Program), detail, 2}
	case Unreachable:
		return &reportError{fmt.Sprintf("%s could not be reached; start it, or check addresses and network, then try again", number(count, "part")), detail, 1}
	case OK, Warning:
	}
	return nil
}

func number(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

type reportError struct {
	text, detail string
	code         int
}

func (e *reportError) Error() string { return e.text }

// Detail is that of all findings.
func (e *reportError) Detail() string { return e.detail }

// ExitCode is 2 for what must be mended, 1 for what may answer later.
func (e *reportError) ExitCode() int { return e.code }
