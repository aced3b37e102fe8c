package cosmosfake

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// sessionToken is what a client saw of a range: `range:config#lsn#region=lsn…`, or in the older form `range:lsn`.
type sessionToken struct {
	rangeID string
	seen
}

// seen is a configuration number and an LSN that a client has seen of a range; zero is nothing.
type seen struct {
	config int64
	lsn    int64
}

// in tells whether a replica is as far (source of the Java SDK, VectorSessionToken.isValid).
func (s seen) in(at position) bool { return s.config <= at.config && s.lsn <= at.newest }

func parseSession(text string) (sessionToken, bool) {
	id, rest, ok := strings.Cut(text, ":")
	parts := strings.Split(rest, "#")
	number := parts[0]
	var config int64
	for i, part := range parts[min(1, len(parts)):] {
		if i == 0 {
			n, err := strconv.ParseInt(parts[0], 10, 64)
			config, ok = n, ok && err == nil
			number = part
			continue
		}
		name, lsn, both := strings.Cut(part, "=")
		ok = ok && both && isInteger(name) && isInteger(lsn)
	}
	lsn, err := strconv.ParseInt(number, 10, 64)
	return sessionToken{id, seen{config, lsn}}, ok && err == nil && id != ""
}

func isInteger(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil
}

// readSession reads the session tokens of a request, several joined by commas (the text of the refusal is that of
// azure-cosmos-dotnet-v3, RMResources.InvalidSessionToken).
func readSession(r *http.Request) ([]sessionToken, *Error) {
	text := r.Header.Get("x-ms-session-token")
	if text == "" {
		return nil, nil
	}
	var list []sessionToken
	for one := range strings.SplitSeq(text, ",") {
		token, ok := parseSession(strings.TrimSpace(one))
		if !ok {
			return nil, badRequest("The session token provided '%s' is invalid.", one)
		}
		list = append(list, token)
	}
	return list, nil
}

// sessionOf is what a read's session has seen of a range, or of those that it came from by splits: its LSNs go on where
// theirs ended (source of the Java SDK, SessionTokenHelper.getLocalSessionToken). Nobody says what a token of before a
// merge means, whose LSNs begin again; it counts for nothing.
func sessionOf(r *http.Request, p *partition) (seen, *Error) {
	list, e := readSession(r)
	var all seen
	for _, token := range list {
		if p.descends(token.rangeID) {
			all = seen{max(all.config, token.config), max(all.lsn, token.lsn)}
		}
	}
	return all, e
}

// descends tells whether a range is the one of an id, or came from it by splits, so that its LSNs are that one's.
func (p *partition) descends(id string) bool {
	return p.id == id || !p.merged && slices.Contains(p.parents, id)
}

// sessionNotAvailable refuses a read by a session that is ahead of the range, as after a failover that lost writes.
func sessionNotAvailable(r *http.Request, at position) *Error {
	return &Error{
		Status: 404, Substatus: 1002, Code: "NotFound",
		Message: "The read session is not available for the input session token " + r.Header.Get("x-ms-session-token") + ": the range is at " + at.session() + ".",
	}
}
