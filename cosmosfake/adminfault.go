package cosmosfake

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// adminFault is a FaultRule as the admin endpoint writes it.
type adminFault struct {
	Method       string   `json:"method,omitempty"`
	Path         string   `json:"path,omitempty"`
	Count        int      `json:"count,omitempty"`
	Probability  float64  `json:"probability,omitempty"`
	Seed         uint64   `json:"seed,omitempty"`
	Delay        duration `json:"delay,omitempty"`
	Drop         string   `json:"drop,omitempty"`
	Status       int      `json:"status,omitempty"`
	Substatus    int      `json:"substatus,omitempty"`
	Message      string   `json:"message,omitempty"`
	RetryAfter   duration `json:"retryAfter,omitempty"`
	Tear         int64    `json:"tear,omitempty"`
	Behind       int64    `json:"behind,omitempty"`
	ConfigBehind int64    `json:"configBehind,omitempty"`
	Session      string   `json:"session,omitempty"`
	Newest       string   `json:"newest,omitempty"`
	Date         duration `json:"date,omitempty"`
	Empty        bool     `json:"empty,omitempty"`
	NoETag       bool     `json:"noETag,omitempty"`
	NoLSN        bool     `json:"noLSN,omitempty"`
	FloatTimes   bool     `json:"floatTimes,omitempty"`
	Operation    string   `json:"operation,omitempty"`
	Mixed        bool     `json:"mixed,omitempty"`
	Metadata     bool     `json:"metadata,omitempty"`
	StaleRanges  bool     `json:"staleRanges,omitempty"`

	RevisedRanges bool `json:"revisedRanges,omitempty"`
	RangesPage    int  `json:"rangesPage,omitempty"`

	Operations map[int]int `json:"operations,omitempty"`
}

const adminFaultKnows = "method path count probability seed delay drop status substatus message retryAfter tear behind configBehind session newest " +
	"date empty noETag noLSN floatTimes operation mixed metadata staleRanges revisedRanges rangesPage operations"

// The words of enumerations, in the order of their values.
func dropWords() []string    { return []string{"", "before", "after"} }
func sessionWords() []string { return []string{"", "simple", "unnumbered"} }
func newestWords() []string  { return []string{"", "before", "after"} }

// rule reads the words.
func (q *adminFault) rule() (FaultRule, error) {
	r := FaultRule{
		Method: q.Method, Path: q.Path, Count: q.Count, Probability: q.Probability, Seed: q.Seed,
		Fault: Fault{
			Delay: time.Duration(q.Delay), Status: q.Status, Substatus: q.Substatus, Message: q.Message, RetryAfter: time.Duration(q.RetryAfter),
			Tear: q.Tear, Behind: q.Behind, ConfigBehind: q.ConfigBehind, Date: time.Duration(q.Date),
			StaleRanges: q.StaleRanges, RevisedRanges: q.RevisedRanges, RangesPage: q.RangesPage, Operations: q.Operations,
			Feed: FeedForm{Empty: q.Empty, NoETag: q.NoETag, NoLSN: q.NoLSN, FloatTimes: q.FloatTimes, Operation: q.Operation, Mixed: q.Mixed, Metadata: q.Metadata},
		},
	}
	for _, word := range []struct {
		name, value string
		known       []string
		set         func(int)
	}{
		{"drop", q.Drop, dropWords(), func(i int) { r.Fault.Drop = Drop(i) }},
		{"session", q.Session, sessionWords(), func(i int) { r.Fault.Session = SessionForm(i) }},
		{"newest", q.Newest, newestWords(), func(i int) { r.Fault.Newest = Newest(i) }},
	} {
		i := slices.Index(word.known, word.value)
		if i < 0 {
			return r, badRequest("%s is %q, want one of %q.", word.name, word.value, word.known[1:])
		}
		word.set(i)
	}
	return r, nil
}

// faultReport is a rule in the list of them.
type faultReport struct {
	adminFault
	Met int `json:"met"`
}

// faultList is the answer of the verbs for faults.
func (s *Server) faultList() any {
	list := make([]faultReport, 0)
	for _, one := range s.Faults() {
		f := one.Fault
		list = append(list, faultReport{Met: one.Met, adminFault: adminFault{
			Method: one.Method, Path: one.Path, Count: one.Count, Probability: one.Probability, Seed: one.Seed,
			Delay: duration(f.Delay), Drop: dropWords()[f.Drop], Status: f.Status, Substatus: f.Substatus, Message: f.Message,
			RetryAfter: duration(f.RetryAfter), Tear: f.Tear, Behind: f.Behind, ConfigBehind: f.ConfigBehind,
			Session: sessionWords()[f.Session], Newest: newestWords()[f.Newest], Date: duration(f.Date),
			Empty: f.Feed.Empty, NoETag: f.Feed.NoETag, NoLSN: f.Feed.NoLSN, FloatTimes: f.Feed.FloatTimes, Operation: f.Feed.Operation, Mixed: f.Feed.Mixed, Metadata: f.Feed.Metadata,
			StaleRanges: f.StaleRanges, RevisedRanges: f.RevisedRanges, RangesPage: f.RangesPage, Operations: f.Operations,
		}})
	}
	return map[string]any{"faults": list}
}

// duration is written as text, such as "50ms".
type duration time.Duration

func (d *duration) UnmarshalJSON(text []byte) error {
	var plain string
	err := json.Unmarshal(text, &plain)
	parsed, e := time.ParseDuration(plain)
	if err != nil || e != nil {
		return fmt.Errorf(`%s is no duration: want text such as "50ms", "2s" or "24h"`, text)
	}
	*d = duration(parsed)
	return nil
}

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
