package cosmos

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// account answers requests by a script, one step a request, and notes them.
type account struct {
	mu       sync.Mutex
	script   []step
	requests []string // method, path, partition key and body
	waits    []time.Duration
}

type step struct {
	status  int
	headers map[string]string
	body    string
	drop    bool
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil || len(a.script) == 0 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	next := a.script[0]
	a.script = a.script[1:]
	a.requests = append(a.requests, strings.Join([]string{
		r.Method, r.URL.EscapedPath(),
		r.Header.Get("x-ms-documentdb-partitionkey"), string(body),
	}, " "))
	if next.drop {
		panic(http.ErrAbortHandler)
	}
	for name, value := range next.headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
}

func (a *account) wait(ctx context.Context, d time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits = append(a.waits, d)
	return ctx.Err()
}

func newAccount(t *testing.T, script ...step) (*account, *Writer) {
	t.Helper()
	a := &account{script: script}
	server := httptest.NewTLSServer(a)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(WriterOptions{Endpoint: server.URL, Key: config.NewSecret(base64.StdEncoding.EncodeToString([]byte("key"))), CAFile: ca, Wait: a.wait})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return a, w
}

const spliced = `,"_rid":"r","_self":"s","_etag":"\"e\"","_attachments":"attachments/","_ts":1}`

// found is the answer to a batch that reads a document.
func found(document string) step {
	return step{status: 200, body: `[{"statusCode":200,"requestCharge":1,"eTag":"\"e\"","resourceBody":` + document + `}]`}
}

func TestCreateItem(t *testing.T) {
	const body = `{ "id":"a ü", "n":9007199254740993123 }`
	there := found(strings.TrimSuffix(body, "}") + spliced)
	gone := step{status: 207, body: `[{"statusCode":404,"requestCharge":0}]`}
	many := func(s step, n int) (out []step) {
		for range n {
			out = append(out, s)
		}
		return out
	}
	busy := step{status: 429, headers: map[string]string{"x-ms-retry-after-ms": "120000", "x-ms-request-charge": "0.5"}}
	tests := []struct {
		name   string
		script []step
		want   Written
		exit   int // of the error; 0 is none
		waits  int
	}{
		{name: "created", script: []step{{status: 201, headers: map[string]string{"x-ms-request-charge": "5.5"}}}, want: Written{Charge: 5.5}},
		{name: "throttled", script: []step{busy, {status: 201}}, want: Written{Charge: 0.5, Throttled: 1}, waits: 1},
		{name: "in trouble", script: []step{{status: 503}, {status: 408}, {status: 410}, {status: 404}, {status: 201}}, waits: 4},
		{name: "tried again", script: []step{{status: 449}, {status: 201}}, want: Written{Throttled: 1}, waits: 1},
		{name: "answer lost", script: []step{{drop: true}, {status: 409}, there}, want: Written{Existed: true}, waits: 1},
		{name: "there already", script: []step{{status: 409}, there}, want: Written{Existed: true}},
		{name: "another one there", script: []step{{status: 409}, found(`{"id":"a ü"` + spliced)}, exit: 2},
		{name: "read by a lagging replica", script: []step{{status: 409}, gone, {status: 409}, there}, want: Written{Existed: true}, waits: 1},
		{name: "read in trouble", script: []step{{status: 409}, {status: 207, body: `[{"statusCode":410,"subStatusCode":1002}]`}, {status: 409}, there}, want: Written{Existed: true}, waits: 1},
		{name: "read refused", script: []step{{status: 409}, {status: 207, body: `[{"statusCode":403}]`}}, exit: 2},
		{name: "unique key taken", script: many(step{}, 0), exit: 3, waits: maxTroubled},
		{name: "wrong key", script: []step{{status: 401}}, exit: 2},
		{name: "too large", script: []step{{status: 413}}, exit: 2},
		{name: "always in trouble", script: many(step{status: 503}, maxTroubled), exit: 1, waits: maxTroubled - 1},
		{name: "always throttled", script: many(busy, 6), exit: 1, waits: 5, want: Written{Charge: 3, Throttled: 6}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "unique key taken" {
				for range maxTroubled {
					test.script = append(test.script, step{status: 409}, gone)
				}
			}
			a, w := newAccount(t, test.script...)
			got, err := w.CreateItem(t.Context(), ContainerRef{Database: "d b", Container: "c"}, Item{Key: []byte(`["ü"]`), ID: []byte("a ü"), Body: []byte(body)})
			if (err != nil) != (test.exit != 0) {
				t.Fatalf("got error %v, want exit code %d", err, test.exit)
			}
			var coded interface{ ExitCode() int }
			if errors.As(err, &coded) && coded.ExitCode() != test.exit {
				t.Errorf("got exit code %d of %v, want %d", coded.ExitCode(), err, test.exit)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if len(a.waits) != test.waits {
				t.Errorf("got waits %v, want %d", a.waits, test.waits)
			}
			if len(a.script) != 0 {
				t.Errorf("got %d steps left over", len(a.script))
			}
			if want := `POST /dbs/d%20b/colls/c/docs ["\u00fc"] ` + body; a.requests[0] != want {
				t.Errorf("got request %s, want %s", a.requests[0], want)
			}
			for _, got := range a.requests {
				if want := `POST /dbs/d%20b/colls/c/docs ["\u00fc"] [{"operationType":"Read","id":"a ü"}]`; got != a.requests[0] && got != want {
					t.Errorf("got request %s, want %s", got, want)
				}
			}
		})
	}
}

func TestCreateContainer(t *testing.T) {
	a, w := newAccount(t, step{status: 503}, step{status: 201, body: `{"id":"x"}`}, step{status: 409}, step{status: 400, body: `{"message":"no such setting\r\nActivityId: 1"}`})
	definition := []byte(`{"id":"x","partitionKey":{"paths":["/k"]}, "new":1.0}`)
	if err := w.CreateContainer(t.Context(), "d", definition); err != nil {
		t.Errorf("got %v, want the container", err)
	}
	if want := "POST /dbs/d/colls  " + string(definition); a.requests[1] != want {
		t.Errorf("got request %s, want %s", a.requests[1], want)
	}
	if err := w.CreateContainer(t.Context(), "d", definition); !errors.Is(err, ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	err := w.CreateContainer(t.Context(), "d", definition)
	if want := "400/0: no such setting"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestStopsWhenCancelled(t *testing.T) {
	_, w := newAccount(t, step{status: 429}, step{status: 201})
	ctx, cancel := context.WithCancel(t.Context())
	w.rest.wait = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	if _, err := w.CreateItem(ctx, ContainerRef{}, Item{Key: []byte("[1]"), Body: []byte("{}")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestHeaderKey(t *testing.T) {
	tests := []struct{ name, key, want string }{
		{"ascii", `["eu",1.5,null,true]`, `["eu",1.5,null,true]`},
		{"undefined", `[{}]`, `[{}]`},
		{"escapes stay", `["\"\\\u0001\n"]`, `["\"\\\u0001\n"]`},
		{"delete", "[\"\x7f\"]", `["\u007f"]`},
		{"latin", `["grün"]`, `["gr\u00fcn"]`},
		{"line separator", "[\"\u2028\"]", `["\u2028"]`},
		{"beyond the BMP", `["😀"]`, `["\ud83d\ude00"]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := headerKey([]byte(test.key)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// The vector is that of the REST reference, "Access control on Cosmos DB resources".
func TestAuthorization(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("dsZQi3KtZmCv1ljt3VNWNm7sQUF1y5rJfC6kv5JiwvW0EndXdDku/dkKBp8/ufDToSxLzR4y+O/0H/t4bQtVNw==")
	if err != nil {
		t.Fatal(err)
	}
	got := authorization(key, request{method: "GET", kind: "dbs", link: "dbs/ToDoList"}, "Thu, 27 Apr 2017 00:51:12 GMT")
	const want = "type%3Dmaster%26ver%3D1.0%26sig%3Dc09PEVJrgp2uQRkr934kFbTqhByc7TVr3OHyqlu%2Bc%2Bc%3D"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNewWriterRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		options WriterOptions
		want    string
	}{
		{"endpoint", WriterOptions{Endpoint: "localhost", Key: config.NewSecret("aaaa")}, `endpoint "localhost" is no address`},
		{"key", WriterOptions{Endpoint: "https://x", Key: config.NewSecret("?")}, "not base64"},
		{"absent roots", WriterOptions{Endpoint: "https://x", Key: config.NewSecret("aaaa"), CAFile: empty + ".not"}, "read cosmos.ca_file"},
		{"empty roots", WriterOptions{Endpoint: "https://x", Key: config.NewSecret("aaaa"), CAFile: empty}, "no certificate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := NewWriter(test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %s", err, test.want)
			}
		})
	}
}
