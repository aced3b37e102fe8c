package cosmosfake

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Hook is asked about every request of a client, admin requests excepted, before anything is done. It may read the
// method, the URL and the headers, not the body. Nil means that the request takes its course, unless a FaultRule is for
// it. Hooks are called concurrently. A hook that panics, or a fault that makes no sense, is answered with 500 and says so.
type Hook func(*http.Request) *Fault

// Fault is what happens to one request. Its fields combine in the order in which they stand.
type Fault struct {
	// Delay passes before anything else.
	Delay time.Duration
	// Drop ends the connection without an answer.
	Drop Drop
	// Status, 400 to 599, is answered instead of doing anything, with Substatus, Message, and RetryAfter as the header
	// x-ms-retry-after-ms. 0 means none.
	Status     int
	Substatus  int
	Message    string
	RetryAfter time.Duration
	// Tear ends the connection after so many bytes of the answer's body; a negative number, after its headers. 0 means
	// not. What was asked for is done.
	Tear int64
	// Behind makes a feed, list, query or point read be answered by a replica that is this many LSNs behind the newest,
	// or as far back as the range remembers.
	Behind int64
	// ConfigBehind makes that replica report a configuration number that is this much lower. It shows what the last
	// failover of the range undid, and nothing that came after.
	ConfigBehind int64
	// Session is the form of the session token of such a request, where it is not the account's, Options.Session.
	Session SessionForm
	// StaleRanges lists the physical ranges as they were before the last split or merge.
	StaleRanges bool
	// RevisedRanges lists the ranges that the last split or merge made twice, first with another bound, as a list does that
	// is read while they come to be.
	RevisedRanges bool
	// RangesPage is how many ranges are listed at most; the etag leads to the others. 0 is all of them.
	RangesPage int
	// Operations are the statuses with which single operations of a bulk request are refused, by their index.
	Operations map[int]int
	// Date is how far the clock of whoever answers is ahead; negative is behind.
	Date time.Duration
	// Feed is what a feed request is answered with.
	Feed FeedForm
	// Newest says when the newest LSN of such a request is taken, and Between what happens between that and the scan.
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
	// Metadata adds a member `_metadata` behind `_lsn`.
	Metadata bool
	// Mixed writes the changes of a page by partition key, not by LSN: the service promises the order within a key only.
	Mixed bool
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

// check refuses what makes no sense.
func (f *Fault) check() error {
	switch {
	case f.Delay < 0:
		return fmt.Errorf("delay is %s, want 0 or more", f.Delay)
	case f.Drop < DropNot || f.Drop > DropAfter:
		return fmt.Errorf("drop is %d, want DropNot, DropBefore or DropAfter", f.Drop)
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status is %d, want 400 to 599, or 0 for none", f.Status)
	case f.Substatus < 0 || f.RetryAfter < 0:
		return fmt.Errorf("substatus is %d and retryAfter %s, want 0 or more", f.Substatus, f.RetryAfter)
	case f.Status == 0 && (f.Substatus != 0 || f.Message != "" || f.RetryAfter != 0):
		return fmt.Errorf("substatus, message and retryAfter go with a status, which is not set")
	case f.Behind < 0 || f.ConfigBehind < 0:
		return fmt.Errorf("behind is %d and configBehind %d, want 0 or more", f.Behind, f.ConfigBehind)
	case f.Session < SessionVector || f.Session > SessionUnnumbered:
		return fmt.Errorf("session is %d, want SessionVector, SessionSimple or SessionUnnumbered", f.Session)
	case f.RangesPage < 0:
		return fmt.Errorf("rangesPage is %d, want 0 or more", f.RangesPage)
	case f.Newest < NewestWith || f.Newest > NewestAfter:
		return fmt.Errorf("newest is %d, want NewestWith, NewestBefore or NewestAfter", f.Newest)
	}
	for _, status := range f.Operations {
		if status < 400 || status > 599 {
			return fmt.Errorf("an operation's status is %d, want 400 to 599", status)
		}
	}
	return nil
}

// idle tells that nothing would happen.
func (f *Fault) idle() bool {
	return f.Delay == 0 && f.Drop == DropNot && f.Status == 0 && f.Tear == 0 && f.Behind == 0 && f.ConfigBehind == 0 &&
		f.Session == SessionVector && f.Newest == NewestWith && f.Date == 0 && f.Feed == FeedForm{} &&
		!f.StaleRanges && !f.RevisedRanges && f.RangesPage == 0 && len(f.Operations) == 0
}

// refusal is the answer that the fault asks for; nil is none.
func (f *Fault) refusal() *Error {
	if f.Status == 0 {
		return nil
	}
	return &Error{Status: f.Status, Substatus: f.Substatus, Code: codeOf(f.Status), Message: f.Message, RetryAfter: f.RetryAfter}
}

// meet asks hook and rules what happens to a request, and lets come to pass what comes before anything is done.
func (s *Server) meet(r *http.Request) (Fault, *Error) {
	f, e := s.ask(r)
	if f == nil || e != nil {
		return Fault{}, e
	}
	if err := f.check(); err != nil {
		return Fault{}, &Error{Status: 500, Code: "InternalServerError", Message: "cosmosfake: the hook's fault makes no sense: " + err.Error() + "."}
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
	return *f, nil
}

// ask is the hook's fault, or else that of the first rule.
func (s *Server) ask(r *http.Request) (f *Fault, e *Error) {
	if h := s.hook.Load(); h != nil {
		defer func() {
			p := recover()
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p) // it wants the connection to end
			}
			if p != nil {
				e = panicked("the hook", p)
			}
		}()
		if f := (*h)(r); f != nil {
			return f, nil
		}
	}
	return s.rules.meet(r), nil
}

// panicked is what a client is told of it, rather than a connection that ends without a word.
func panicked(who string, p any) *Error {
	return &Error{Status: 500, Code: "InternalServerError", Message: fmt.Sprintf("cosmosfake: %s panicked: %v", who, p)}
}

// torn passes on the first bytes of an answer's body, then ends the connection.
type torn struct {
	http.ResponseWriter
	left int64
}

func (t *torn) Write(b []byte) (int, error) {
	n := min(t.left, int64(len(b)))
	t.left -= n
	if _, err := t.ResponseWriter.Write(b[:n]); err != nil || n == int64(len(b)) {
		return int(n), err
	}
	t.end()
	return int(n), nil
}

// end sends what there is and ends the connection.
func (t *torn) end() {
	_ = http.NewResponseController(t.ResponseWriter).Flush() // the client may have gone away
	panic(http.ErrAbortHandler)
}

// nowhere takes the answer of a request whose connection is dropped afterwards.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}
