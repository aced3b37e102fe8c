package cosmosfake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	// maxItem is the service's limit of an item and of a request (service limits).
	maxItem = 2 << 20
	maxID   = 1023
)

// version is one version of one document. Only `end` ever changes, and `unique` once, under the lock of its range.
type version struct {
	key   string // canonical partition key, then the id: a JSON array says itself where it ends
	pkLen int
	body  []byte // the user's bytes; the last one is the closing brace
	lsn   int64
	end   int64 // the LSN that replaced or deleted it; 0 while it is the newest
	ts    int64 // seconds since 1970
	etag  uint64
	rid   uint64
	ttl   int32 // its own time to live in seconds, -1 for ever; 0 has none
	// unique are its places in the range's index of unique keys, once that was made.
	unique []string
}

func (v *version) pk() string { return v.key[:v.pkLen] }
func (v *version) id() string { return v.key[v.pkLen:] }

// etagText is the value of `_etag`, which includes quotation marks.
func (v *version) etagText() string {
	return fmt.Sprintf(`"%08x-%04x-0100-0000-%08x0000"`, uint32(v.etag), uint16(v.etag>>32), uint32(v.ts))
}

// appendSpliced appends the document as a client sees it: the service's properties stand before the last brace,
// each behind a comma. A document has an id, so a member always stands before them. lsn is left out when 0.
func (v *version) appendSpliced(dst []byte, c *container, lsn int64) []byte {
	dst = append(dst, v.body[:len(v.body)-1]...)
	var rid [ridSize]byte
	c.putRID(&rid, v.rid)
	dst = append(dst, `,"_rid":"`...)
	dst = append(dst, rid[:]...)
	dst = append(dst, `","_self":"`...)
	dst = append(dst, c.self...)
	dst = append(dst, `docs/`...)
	dst = append(dst, rid[:]...)
	dst = append(dst, `/","_etag":"\"`...)
	dst = appendHex(dst, uint64(uint32(v.etag)), 8)
	dst = append(dst, '-')
	dst = appendHex(dst, v.etag>>32&0xffff, 4)
	dst = append(dst, `-0100-0000-`...)
	dst = appendHex(dst, uint64(uint32(v.ts)), 8)
	dst = append(dst, `0000\"","_attachments":"attachments/","_ts":`...)
	dst = strconv.AppendInt(dst, v.ts, 10)
	if lsn != 0 {
		dst = append(dst, `,"_lsn":`...)
		dst = strconv.AppendInt(dst, lsn, 10)
	}
	return append(dst, '}')
}

// spliced is the document as a client sees it.
func (v *version) spliced(c *container) []byte {
	return v.appendSpliced(make([]byte, 0, len(v.body)+spliceSize), c, 0)
}

func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[v>>shift&15])
	}
	return dst
}

// document is a user's document that was checked and may be kept.
type document struct {
	body []byte
	key  []byte // canonical partition key, then the id
	pk   []byte // canonical partition key
	id   []byte
	hash string // for the ledger; empty without one
	ttl  int32
}

// parseDocument checks a document of a request. raw may be kept by the result.
func (s *Server) parseDocument(c *container, scan *schemas.Document, raw []byte) (document, *Error) {
	if len(raw) > maxItem {
		return document{}, tooLarge()
	}
	body, err := withoutSystem(raw, isSystemProperty)
	if err != nil {
		return document{}, badRequest("The input content is invalid: %v.", err)
	}
	if err := scan.Scan(c.key, body); err != nil {
		return document{}, badRequest("The input content is invalid: %v.", err)
	}
	if e := checkID(string(scan.ID)); e != nil {
		return document{}, e
	}
	key := append(append(make([]byte, 0, len(scan.Key)+len(scan.ID)), scan.Key...), scan.ID...)
	d := document{body: body, key: key, pk: key[:len(scan.Key)], id: key[len(scan.Key):]}
	ttl, e := c.itemTTL(scan, body)
	if e != nil {
		return document{}, e
	}
	d.ttl = ttl
	if s.ledger.wanted() {
		d.hash = digest(body)
	}
	return d, nil
}

func checkID(id string) *Error {
	switch {
	case id == "":
		return badRequest("The input content is invalid because the required properties - 'id; ' - are missing.")
	case len(id) > maxID:
		return badRequest("The id has %d bytes, at most %d are allowed.", len(id), maxID)
	}
	return nil
}

// isSystemProperty tells which members of a user's document give way to the service's. A `_lsn` does not: the change feed
// shows it and the service's (github.com/microsoft/kafka-connect-cosmosdb/issues/46).
func isSystemProperty(name string) bool {
	switch name {
	case "_rid", "_self", "_etag", "_attachments", "_ts":
		return true
	}
	return false
}

// withoutSystem checks that raw is a JSON object and drops the members that drop names, by cutting: every one goes
// with the comma before it, and those that stand before all others go with what follows them up to the first that
// stays. Blanks around the object go too. Without such members the result is a part of raw.
func withoutSystem(raw []byte, drop func(name string) bool) ([]byte, error) {
	raw = bytes.TrimFunc(raw, func(r rune) bool { return r == ' ' || r == '\n' || r == '\r' || r == '\t' })
	var (
		out  []byte
		next int // raw[:next] is in out, or was dropped
		cut  bool
		kept bool
	)
	err := scanObject(raw, func(m member) error {
		switch dropped := drop(memberName(raw, m)); {
		case dropped && kept:
			out = append(out, raw[next:m.comma]...)
			next, cut = m.end, true
		case dropped:
			if !cut {
				out = append(out, raw[:m.from]...)
			}
			next, cut = m.end, true
		case !kept:
			kept = true
			if cut {
				next = m.from
			}
		}
		return nil
	})
	if err != nil || !cut {
		return raw, err
	}
	return append(out, raw[next:]...), nil
}

// memberName is the name with its escapes resolved.
func memberName(text []byte, m member) string {
	name := text[m.from+1 : m.nameEnd-1]
	if bytes.IndexByte(name, '\\') < 0 {
		return string(name)
	}
	var plain string
	if err := json.Unmarshal(text[m.from:m.nameEnd], &plain); err != nil {
		return string(name) // cannot be: the scanner accepted it
	}
	return plain
}

// writeCharge is the cost of a write in request units, by points that were measured on the service (COSMOS limits:
// 4.95 at 1 KB, 6.67 at 4, 9.52 at 16, 48 at 128, 625 at 1024) and straight lines between them.
func writeCharge(size int) float64 {
	points := [...][2]float64{{0, 4.95}, {1, 4.95}, {4, 6.67}, {16, 9.52}, {128, 48}, {1024, 625}, {2048, 1285}}
	kb := float64(size) / 1024
	for i := 1; i < len(points); i++ {
		if a, b := points[i-1], points[i]; kb <= b[0] {
			return a[1] + (b[1]-a[1])*(kb-a[0])/(b[0]-a[0])
		}
	}
	return points[len(points)-1][1]
}

// readCharge is the cost of a point read: 1 at 1 KB, 10 at 100 KB.
func readCharge(size int) float64 { return 1 + max(0, float64(size)/1024-1)/11 }

// pageCharge is the cost of a page of a feed.
func pageCharge(size int) float64 { return 1 + float64(size)/1024/10 }
