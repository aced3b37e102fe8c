package cosmosfake

import (
	"net/http"
	"strconv"
)

// resourceList is all resources of a type.
type resourceList struct {
	rid, name string
	all       [][]byte
}

// page answers with a part of a list: as many as x-ms-max-item-count asks for, from x-ms-continuation on.
func (a *answer) page(r *http.Request, whole reply) *Error {
	limit, e := readLimit(r)
	if e != nil {
		return e
	}
	list := whole.list
	from, e := listContinuation(r, len(list.all))
	if e != nil {
		return e
	}
	to := min(from+limit.items, len(list.all))
	if to < len(list.all) {
		a.set("x-ms-continuation", listToken+strconv.Itoa(to))
	}
	return a.reply(listReply(list.rid, list.name, list.all[from:to]), nil)
}

// listToken begins the continuation of a list, which is a place in it.
const listToken = "list#"

func listContinuation(r *http.Request, n int) (int, *Error) {
	text := r.Header.Get("x-ms-continuation")
	if text == "" {
		return 0, nil
	}
	if len(text) > len(listToken) && text[:len(listToken)] == listToken {
		if at, err := strconv.Atoi(text[len(listToken):]); err == nil && at >= 0 {
			return min(at, n), nil
		}
	}
	return 0, badRequest("The continuation %q is invalid.", text)
}
