package cosmosfake_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/schemas"
)

func startServer(t testing.TB, o cosmosfake.Options) *cosmosfake.Server {
	t.Helper()
	s, err := cosmosfake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// rest signs requests by code of its own.
type rest struct {
	t testing.TB
	s *cosmosfake.Server
}

// response is one that was read whole.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (r response) substatus() string { return r.header.Get("x-ms-substatus") }

// newest is the global LSN of the session token.
func (r response) newest(t testing.TB) int64 {
	t.Helper()
	var id string
	var config, lsn, local int64
	token := r.header.Get("x-ms-session-token")
	if _, err := fmt.Sscanf(strings.ReplaceAll(strings.Replace(token, ":", " ", 1), "#", " "), "%s %d %d 1=%d", &id, &config, &lsn, &local); err != nil {
		t.Fatalf("session token %q: %v", token, err)
	}
	return lsn
}

type page struct {
	RID       string            `json:"_rid"`
	Documents []json.RawMessage `json:"Documents"`
	Count     int               `json:"_count"`
}

func (r response) page(t testing.TB) page {
	t.Helper()
	var p page
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatalf("decode page %s: %v", r.body, err)
	}
	if p.Count != len(p.Documents) {
		t.Fatalf("got _count %d with %d documents", p.Count, len(p.Documents))
	}
	return p
}

func (c rest) request(method, path, body string, headers ...string) *http.Request {
	c.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, strings.TrimSuffix(c.s.URL(), "/")+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	segments := strings.Split(strings.Trim(path, "/"), "/")
	kind, link := segments[(len(segments)-1)/2*2], segments
	if len(segments)%2 == 1 {
		link = segments[:len(segments)-1]
	}
	plain, err := url.PathUnescape(strings.Join(link, "/"))
	if err != nil {
		c.t.Fatal(err)
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	req.Header.Set("x-ms-date", date)
	req.Header.Set("Authorization", c.sign(method, kind, plain, date))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

func (c rest) sign(method, kind, link, date string) string {
	key, err := base64.StdEncoding.DecodeString(c.s.Key())
	if err != nil {
		c.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s\n\n", strings.ToLower(method), kind, link, strings.ToLower(date))
	return url.QueryEscape("type=master&ver=1.0&sig=" + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func (c rest) do(method, path, body string, headers ...string) response {
	c.t.Helper()
	return c.send(c.request(method, path, body, headers...))
}

func (c rest) send(req *http.Request) response {
	c.t.Helper()
	res, err := c.s.Client().Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return response{res.StatusCode, res.Header, all}
}

// must is do with a status that the test depends on.
func (c rest) must(want int, method, path, body string, headers ...string) response {
	c.t.Helper()
	got := c.do(method, path, body, headers...)
	if got.status != want {
		c.t.Fatalf("%s %s: got %d %s, want %d", method, path, got.status, got.body, want)
	}
	return got
}

const (
	coll  = "/dbs/shop/colls/orders"
	docs  = coll + "/docs"
	pkH   = "x-ms-documentdb-partitionkey"
	rangH = "x-ms-documentdb-partitionkeyrangeid"
)

// makeOrders creates shop.orders with one key path and the given number of ranges.
func (c rest) makeOrders(ranges int) {
	c.t.Helper()
	if got := c.do("POST", "/dbs", `{"id":"shop"}`); got.status != 201 && got.status != 409 {
		c.t.Fatalf("create database: got %d %s", got.status, got.body)
	}
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`,
		"x-ms-cosmosfake-ranges", fmt.Sprint(ranges))
}

func (c rest) upsert(pk, document string) response {
	c.t.Helper()
	got := c.do("POST", docs, document, pkH, pk, "x-ms-documentdb-is-upsert", "True")
	if got.status != 200 && got.status != 201 {
		c.t.Fatalf("upsert %s: got %d %s", document, got.status, got.body)
	}
	return got
}

// feed reads one page of the change feed; etag may be empty.
func (c rest) feed(rangeID, etag string, headers ...string) response {
	c.t.Helper()
	headers = append(headers, "A-IM", "Incremental Feed", rangH, rangeID)
	if etag != "" {
		headers = append(headers, "If-None-Match", etag)
	}
	return c.do("GET", docs, "", headers...)
}

// strip takes the service's properties out again, by the product's own code.
func strip(t testing.TB, document []byte) []byte {
	t.Helper()
	plain, err := schemas.AppendWithoutSystem(nil, document)
	if err != nil {
		t.Fatalf("strip %s: %v", document, err)
	}
	return plain
}

func decode(t testing.TB, res *http.Response, into any) {
	t.Helper()
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// system is what the service adds to a document.
type system struct {
	ID   string `json:"id"`
	LSN  int64  `json:"_lsn"`
	TS   int64  `json:"_ts"`
	ETag string `json:"_etag"`
	RID  string `json:"_rid"`
	Self string `json:"_self"`
}

func systemOf(t testing.TB, document []byte) system {
	t.Helper()
	var d system
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatalf("decode %s: %v", document, err)
	}
	return d
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// memoryLedger is a ledger that tests read back.
type memoryLedger struct {
	mu  sync.Mutex
	buf bytes.Buffer
	err error
}

func (l *memoryLedger) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	return l.buf.Write(b)
}

func (l *memoryLedger) entries(t testing.TB) []cosmosfake.Entry {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []cosmosfake.Entry
	lines := bufio.NewScanner(bytes.NewReader(l.buf.Bytes()))
	for lines.Scan() {
		var e cosmosfake.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("ledger line %s: %v", lines.Bytes(), err)
		}
		list = append(list, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}
