package cosmos

import (
	"bytes"
	"errors"
	"fmt"
)

// body is a page's JSON, cut up without being decoded: encoding/json would read every document twice and copy it once.
type body struct {
	rid   []byte // JSON text of `_rid`, nil when absent
	items [][]byte
}

var errTornPage = errors.New("page of the change feed ends early")

// splitPage cuts {"_rid":…,"Documents":[…],"_count":n} into its items, which point into b. It trusts the service to send
// JSON and reports what it cannot walk; whoever scans the items finds what is wrong inside them.
func splitPage(b []byte) (body, error) {
	var page body
	i := blank(b, 0)
	if i >= len(b) || b[i] != '{' {
		return page, errors.New("page of the change feed is no JSON object")
	}
	i = blank(b, i+1)
	for found := false; ; {
		if i < len(b) && b[i] == '}' {
			if !found {
				return page, errors.New("page of the change feed has no Documents")
			}
			return page, nil
		}
		nameEnd, err := value(b, i)
		if err != nil {
			return page, err
		}
		name := b[i:nameEnd]
		if i = blank(b, nameEnd); i >= len(b) || b[i] != ':' {
			return page, fmt.Errorf("page of the change feed: colon wanted at byte %d", i)
		}
		start := blank(b, i+1)
		end, err := value(b, start)
		if err != nil {
			return page, err
		}
		switch string(name) {
		case `"_rid"`:
			page.rid = b[start:end]
		case `"Documents"`:
			found = true
			if page.items, err = elements(b[start:end]); err != nil {
				return page, err
			}
		}
		if i = blank(b, end); i < len(b) && b[i] == ',' {
			i = blank(b, i+1)
		}
	}
}

// elements cuts a JSON array.
func elements(b []byte) ([][]byte, error) {
	if len(b) == 0 || b[0] != '[' {
		return nil, errors.New("page of the change feed: Documents is no array")
	}
	var items [][]byte
	i := blank(b, 1)
	if b[i] == ']' {
		return nil, nil
	}
	for {
		end, err := value(b, i)
		if err != nil {
			return nil, err
		}
		items = append(items, b[i:end:end])
		switch i = blank(b, end); {
		case i >= len(b):
			return nil, errTornPage
		case b[i] == ']':
			return items, nil
		case b[i] != ',':
			return nil, fmt.Errorf("page of the change feed: comma wanted, got %q", b[i])
		}
		i = blank(b, i+1)
	}
}

func blank(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' {
		i++
	}
	return i
}

// value returns the index behind the value that begins at b[i].
func value(b []byte, i int) (int, error) {
	if i >= len(b) {
		return 0, errTornPage
	}
	switch b[i] {
	case '"':
		return text(b, i)
	case '{', '[':
		return nested(b, i)
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] != ':' && b[i] > ' ' {
		i++
	}
	if i == start {
		return 0, fmt.Errorf("page of the change feed: value wanted, got %q", b[i])
	}
	return i, nil
}

func text(b []byte, i int) (int, error) {
	for i++; ; i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return 0, errTornPage
		}
		i += n
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 { // the opening quotation mark ends the count
			return i + 1, nil
		}
	}
}

func nested(b []byte, i int) (int, error) {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			end, err := text(b, i)
			if err != nil {
				return 0, err
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
		i++
	}
	return 0, errTornPage
}
