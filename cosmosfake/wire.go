package cosmosfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Error is a refusal as the service words it: status, substatus and a body {"code", "message"}.
type Error struct {
	Status    int
	Substatus int
	Code      string
	Message   string
	// RetryAfter is told to clients that came too often.
	RetryAfter time.Duration
	// Info is what the service calls additionalErrorInfo: the plan of a query that the client has to put together.
	Info string
}

// Error makes a refusal usable where the Go methods return it.
func (e *Error) Error() string {
	return fmt.Sprintf("%d/%d %s: %s", e.Status, e.Substatus, e.Code, e.Message)
}

func badRequest(format string, args ...any) *Error {
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			args[i] = plain(err)
		}
	}
	return &Error{Status: 400, Code: "BadRequest", Message: fmt.Sprintf(format, args...)}
}

// plain says what is wrong with somebody's JSON without Go's types.
func plain(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	want := "a number"
	switch wrong.Type.Kind() {
	case reflect.String:
		want = "a string"
	case reflect.Bool:
		want = "true or false"
	case reflect.Slice, reflect.Array:
		want = "an array"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		want = "an object"
	}
	field := "the value"
	if wrong.Field != "" {
		field = "the property " + strings.TrimPrefix(wrong.Field, "adminFault.")
	}
	return field + " is of the type " + wrong.Value + ", want " + want
}

// refusalOf is what a client is told of an error of the Go methods.
func refusalOf(err error) *Error {
	refusal := badRequest("%v", err)
	if e := (*Error)(nil); errors.As(err, &e) {
		refusal.Status, refusal.Substatus, refusal.Code = e.Status, e.Substatus, e.Code
		refusal.Message = strings.Replace(refusal.Message, e.Error(), e.Message, 1)
	}
	return refusal
}

// notHere refuses what this emulator leaves out, so that nobody takes silence for success.
func notHere(what string) *Error {
	return badRequest("cosmosfake does not implement %s.", what)
}

func notFound() *Error {
	return &Error{Status: 404, Code: "NotFound", Message: `Message: {"Errors":["Resource Not Found. Learn more: https://aka.ms/cosmosdb-tsg-not-found"]}`}
}

func ownerNotFound() *Error {
	return &Error{Status: 404, Substatus: 1003, Code: "NotFound", Message: `Message: {"Errors":["Owner resource does not exist"]}`}
}

func conflict() *Error {
	return &Error{Status: 409, Code: "Conflict", Message: `Message: {"Errors":["Resource with specified id, name, or unique index already exists."]}`}
}

func preconditionFailed() *Error {
	return &Error{Status: 412, Code: "PreconditionFailed", Message: `Message: {"Errors":["One of the specified pre-condition is not met. Learn more: https://aka.ms/CosmosDB/sql/errors/precondition-failed"]}`}
}

func tooLarge() *Error {
	return &Error{Status: 413, Code: "RequestEntityTooLarge", Message: `Message: {"Errors":["Request size is too large"]}`}
}

// answer is one response on its way out.
type answer struct {
	w        http.ResponseWriter
	s        *Server
	activity string
	started  bool
	ahead    time.Duration // its clock
}

func (s *Server) newAnswer(w http.ResponseWriter) *answer {
	a := &answer{w: w, s: s, activity: activityID()}
	a.set("x-ms-activity-id", a.activity)
	a.set("x-ms-gatewayversion", "version=2.14.0")
	a.set("x-ms-serviceversion", "version=2.14.0.0")
	return a
}

func (a *answer) set(name, value string) { a.w.Header().Set(name, value) }

func (a *answer) charge(ru float64) {
	a.set("x-ms-request-charge", strconv.FormatFloat(ru, 'f', 2, 64))
}

// position sets what a range reports about itself.
func (a *answer) position(p position) {
	if p.form == SessionVector {
		p.form = a.s.options.Session
	}
	lsn := strconv.FormatInt(p.newest, 10)
	a.set("x-ms-session-token", p.session())
	a.set("lsn", lsn)
	a.set("x-ms-cosmos-llsn", lsn)
	a.set("x-ms-documentdb-partitionkeyrangeid", p.rangeID)
}

// start sends the header. The date, cut to whole seconds, is taken here, after the work is done, so that no `_ts` is later.
func (a *answer) start(status, length int) {
	a.set("Date", dateOf(a.s.clock.now().Add(a.ahead)))
	if length >= 0 {
		a.set("Content-Length", strconv.Itoa(length))
	}
	if length > 0 && a.w.Header().Get("Content-Type") == "" {
		a.set("Content-Type", "application/json")
	}
	a.started = true
	a.w.WriteHeader(status)
}

// send answers with a whole body. A client that went away is no error of the server's.
func (a *answer) send(status int, body []byte) {
	if status == http.StatusNoContent || status == http.StatusNotModified {
		a.start(status, -1)
		return
	}
	a.start(status, len(body))
	_, _ = a.w.Write(body)
}

func (a *answer) refuse(e *Error) {
	if e.Substatus != 0 {
		a.set("x-ms-substatus", strconv.Itoa(e.Substatus))
	}
	if e.RetryAfter > 0 {
		a.set("x-ms-retry-after-ms", strconv.FormatInt(max(1, e.RetryAfter.Milliseconds()), 10))
	}
	if e.Status == http.StatusTooManyRequests {
		a.charge(0)
	} else {
		a.charge(refused)
	}
	body, err := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Info    string `json:"additionalErrorInfo,omitempty"`
	}{e.Code, e.Message + "\r\nActivityId: " + a.activity + ", Microsoft.Azure.Documents.Common/2.14.0", e.Info})
	if err != nil { // two strings always encode
		panic(err)
	}
	a.send(e.Status, body)
}

// recover answers for a handler that panicked, unless it has begun to answer or wants the connection to end.
func (a *answer) recover() {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); a.started || ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	a.refuse(panicked("a handler", p))
}

// codeOf is the word for a status in the body of a refusal.
func codeOf(status int) string {
	if status == 449 {
		return "RetryWith"
	}
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

// dateOf is a time in the form of the Date header, cut to whole seconds.
func dateOf(t time.Time) string { return t.Format(http.TimeFormat) }

func activityID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}
