package cosmosfake

import (
	"net/http"
	"strconv"
	"strings"
)

// checkSession refuses a read that asks for a session newer than the range is, as after a failover that lost writes
// (404 with substatus 1002, ReadSessionNotAvailable). Tokens are `range:config#lsn…`, or in the older form `range:lsn`;
// several are joined by commas.
func checkSession(r *http.Request, at position) *Error {
	for token := range strings.SplitSeq(r.Header.Get("x-ms-session-token"), ",") {
		id, rest, ok := strings.Cut(strings.TrimSpace(token), ":")
		if !ok || id != at.rangeID {
			continue
		}
		parts := strings.Split(rest, "#")
		lsn := parts[0]
		if len(parts) > 1 {
			lsn = parts[1]
		}
		n, err := strconv.ParseInt(lsn, 10, 64)
		switch {
		case err != nil:
			return badRequest("The session token %q is invalid.", token)
		case n > at.newest:
			return &Error{
				Status: 404, Substatus: 1002, Code: "NotFound",
				Message: "The read session is not available for the input session token " + token + ": the range is at " + at.session() + ".",
			}
		}
	}
	return nil
}
