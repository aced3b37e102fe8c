package cosmosfake

import (
	"net/http"
	"strconv"
	"strings"
)

// sessionOf is the LSN of a range that a read's session has seen; 0 is none. Tokens are `range:config#lsn…`, or in the
// older form `range:lsn`; several are joined by commas.
func sessionOf(r *http.Request, rangeID string) (int64, *Error) {
	var seen int64
	for token := range strings.SplitSeq(r.Header.Get("x-ms-session-token"), ",") {
		id, rest, ok := strings.Cut(strings.TrimSpace(token), ":")
		if !ok || id != rangeID {
			continue
		}
		parts := strings.Split(rest, "#")
		lsn := parts[0]
		if len(parts) > 1 {
			lsn = parts[1]
		}
		n, err := strconv.ParseInt(lsn, 10, 64)
		if err != nil {
			return 0, badRequest("The session token %q is invalid.", token)
		}
		seen = max(seen, n)
	}
	return seen, nil
}

// sessionNotAvailable refuses a read by a session that is ahead of the range, as after a failover that lost writes.
func sessionNotAvailable(r *http.Request, at position) *Error {
	return &Error{
		Status: 404, Substatus: 1002, Code: "NotFound",
		Message: "The read session is not available for the input session token " + r.Header.Get("x-ms-session-token") + ": the range is at " + at.session() + ".",
	}
}
