package cosmosfake

import (
	"net/http"
	"time"
)

// Hook is asked about every request of a client, admin requests excepted, before anything is done. It may read the
// method, the URL and the headers, not the body. Nil means that the request takes its course. Hooks are called
// concurrently.
type Hook func(*http.Request) *Fault

// Fault is what happens to one request. Its fields combine in the order in which they stand.
type Fault struct {
	// Delay passes before anything else.
	Delay time.Duration
	// Drop ends the connection without an answer.
	Drop Drop
	// Status is answered, with Substatus and Message, instead of doing anything. 0 means none.
	Status    int
	Substatus int
	Message   string
	// Behind makes a feed request be answered by a replica that is this many LSNs behind the newest, or as far back as
	// the range remembers.
	Behind int64
	// ConfigBehind makes that replica report a configuration number that is this much lower. It shows what the last
	// failover of the range undid, and nothing that came after.
	ConfigBehind int64
	// Session is the form of the session token of a feed request, where it is not the account's, Options.Session.
	Session SessionForm
	// StaleRanges lists the physical ranges as they were before the last split or merge.
	StaleRanges bool
	// Operations are the statuses with which single operations of a bulk request are refused, by their index.
	Operations map[int]int
	// Date is how far the clock of whoever answers is ahead; negative is behind.
	Date time.Duration
	// Feed is what a feed request is answered with.
	Feed FeedForm
	// Newest says when the newest LSN of a feed request is taken, and Between what happens between that and the scan.
	Newest  Newest
	Between func()
}

// SessionForm is how a session token is written.
type SessionForm int

const (
	// SessionVector is `range:configuration#LSN#region=LSN`.
	SessionVector SessionForm = iota
	// SessionSimple is the older `range:LSN`, which has no configuration number.
	SessionSimple
	// SessionUnnumbered is `range:-1#LSN`.
	SessionUnnumbered
)

// FeedForm is how a page of a change feed is written. Clients are to bear with all of it.
type FeedForm struct {
	// Empty makes it 200 without documents, and the etag that the client came with: the scan has not met any yet.
	Empty bool
	// NoETag leaves the etag out of a 304, NoLSN the headers lsn and x-ms-cosmos-llsn.
	NoETag, NoLSN bool
	// FloatTimes writes `crts` as a number with a fraction.
	FloatTimes bool
	// Operation stands instead of each `operationType`; "" is the true ones.
	Operation string
}

// Newest says when a range's newest LSN is taken that it reports with a page of its feed.
type Newest int

const (
	// NewestWith takes it in the moment of the scan.
	NewestWith Newest = iota
	// NewestBefore takes it first: the page may hold later changes.
	NewestBefore
	// NewestAfter takes it last: it may be later than changes that the page lacks.
	NewestAfter
)

// Drop says when the connection of a request ends without an answer.
type Drop int

const (
	// DropNot answers.
	DropNot Drop = iota
	// DropBefore ends the connection before the request is done.
	DropBefore
	// DropAfter does the request, then ends the connection: the client cannot know that it was done.
	DropAfter
)

// SetHook replaces the hook for requests that arrive from now on. Nil removes it.
func (s *Server) SetHook(h Hook) {
	if h == nil {
		s.hook.Store(nil)
		return
	}
	s.hook.Store(&h)
}

func (s *Server) fault(r *http.Request) Fault {
	h := s.hook.Load()
	if h == nil {
		return Fault{}
	}
	f := (*h)(r)
	if f == nil {
		return Fault{}
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Drop == DropBefore {
		panic(http.ErrAbortHandler)
	}
	return *f
}

// nowhere takes the answer of a request whose connection is dropped afterwards.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}
