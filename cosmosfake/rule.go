package cosmosfake

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// FaultRule lets requests meet a fault, from Go or by the admin endpoint. Of several the first one that a request meets
// counts. The same seed draws the same for the first, second, … request that the rule is for.
type FaultRule struct {
	// Method of the requests; "" is any.
	Method string
	// Path is a part of their paths, or with * for any characters, the whole of them; "" is any.
	Path string
	// Count is how many requests meet it, after which the rule is over. 0 is until ClearFaults.
	Count int
	// Probability that a request meets it. 0 counts as 1.
	Probability float64
	Seed        uint64
	Fault       Fault
}

// FaultState is a rule, and how many requests met it.
type FaultState struct {
	FaultRule
	Met int
}

// rules are those of a server.
type rules struct {
	mu   sync.Mutex
	list []*rule
}

type rule struct {
	FaultState
	path *regexp.Regexp
	draw *rand.Rand
}

// AddFault adds a rule behind the others.
func (s *Server) AddFault(r FaultRule) error {
	err := r.Fault.check()
	switch {
	case r.Count < 0:
		err = fmt.Errorf("count is %d, want 0 or more", r.Count)
	case r.Probability < 0 || r.Probability > 1 || math.IsNaN(r.Probability):
		err = fmt.Errorf("probability is %g, want 0 to 1", r.Probability)
	case r.Fault.idle():
		err = fmt.Errorf("it does nothing")
	}
	if err != nil {
		return fmt.Errorf("add fault: %w", err)
	}
	pattern := regexp.QuoteMeta(r.Path)
	if strings.Contains(r.Path, "*") {
		pattern = "^" + strings.ReplaceAll(pattern, `\*`, ".*") + "$"
	}
	s.rules.mu.Lock()
	defer s.rules.mu.Unlock()
	s.rules.list = append(s.rules.list, &rule{
		FaultState: FaultState{FaultRule: r}, path: regexp.MustCompile("(?s)" + pattern), draw: rand.New(rand.NewPCG(r.Seed, 0)),
	})
	return nil
}

// Faults are the rules, those that are over included.
func (s *Server) Faults() []FaultState {
	s.rules.mu.Lock()
	defer s.rules.mu.Unlock()
	list := make([]FaultState, len(s.rules.list))
	for i, one := range s.rules.list {
		list[i] = one.FaultState
	}
	return list
}

// ClearFaults removes all rules, and not the hook.
func (s *Server) ClearFaults() {
	s.rules.mu.Lock()
	defer s.rules.mu.Unlock()
	s.rules.list = nil
}

// meet is the fault of the first rule that a request meets.
func (l *rules) meet(r *http.Request) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.list {
		if one.meets(r) {
			one.Met++
			return &one.Fault
		}
	}
	return nil
}

func (r *rule) meets(q *http.Request) bool {
	switch {
	case r.Count > 0 && r.Met >= r.Count,
		r.Method != "" && !strings.EqualFold(r.Method, q.Method),
		!r.path.MatchString(q.URL.Path):
		return false
	}
	return r.Probability == 0 || r.draw.Float64() < r.Probability
}
