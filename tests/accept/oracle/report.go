package oracle

import (
	"fmt"
	"strings"
)

// kept bounds the findings of one kind that are kept in words; the rest is counted.
const kept = 8

// Report collects findings by kind. Its zero value is empty. It is not for use by several goroutines.
type Report struct {
	kinds    []string
	findings map[string][]string
	counts   map[string]int
}

// Add notes a finding.
func (r *Report) Add(kind, format string, args ...any) {
	if r.findings == nil {
		r.findings, r.counts = map[string][]string{}, map[string]int{}
	}
	if r.counts[kind]++; r.counts[kind] == 1 {
		r.kinds = append(r.kinds, kind)
	}
	if r.counts[kind] <= kept {
		r.findings[kind] = append(r.findings[kind], fmt.Sprintf(format, args...))
	}
}

// Count is the number of findings of a kind.
func (r *Report) Count(kind string) int { return r.counts[kind] }

// Total is the number of all findings.
func (r *Report) Total() (n int) {
	for _, c := range r.counts {
		n += c
	}
	return n
}

// String lists the findings by kind.
func (r *Report) String() string {
	var b strings.Builder
	for _, kind := range r.kinds {
		fmt.Fprintf(&b, "%s: %d\n", kind, r.counts[kind])
		for _, text := range r.findings[kind] {
			fmt.Fprintf(&b, "    %s\n", text)
		}
		if more := r.counts[kind] - len(r.findings[kind]); more > 0 {
			fmt.Fprintf(&b, "    … and %d more\n", more)
		}
	}
	return b.String()
}
