package cosmos

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cosmos-almanac/almanac/schemas"
)

// NoConfig is the configuration number of a session token that has none. It is below every number.
const NoConfig int64 = -1

// Session is what a session token says about a range.
type Session struct {
	Config int64       // rises with the range's topology; NoConfig in tokens of the older form
	Newest schemas.LSN // the greatest LSN that the replica knew
}

// ParseSession reads `<range>:<version>#<global LSN>[#<region>=<local LSN>]…` or the older `<range>:<LSN>`. A token of
// several ranges is refused: which of them answered would be a guess.
func ParseSession(token string) (Session, error) {
	_, rest, ok := strings.Cut(token, ":")
	if !ok || strings.ContainsAny(rest, ",:") {
		return Session{}, fmt.Errorf("parse session token %q: want <range>:<version>#<LSN> or <range>:<LSN>", token)
	}
	session := Session{Config: NoConfig}
	version, lsn, ok := strings.Cut(rest, "#")
	if ok {
		number, err := strconv.ParseInt(version, 10, 64)
		if err != nil || number < NoConfig {
			return Session{}, fmt.Errorf("parse session token %q: version %q is no number", token, version)
		}
		session.Config = number
		lsn, _, _ = strings.Cut(lsn, "#")
	} else {
		lsn = rest
	}
	newest, err := schemas.ParseLSN(lsn)
	if err != nil {
		return Session{}, fmt.Errorf("parse session token %q: %w", token, err)
	}
	session.Newest = newest
	return session, nil
}
