package cosmos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	database = "shop"
	products = "products"
)

// account is an emulator, and a client of the product's.
type account struct {
	t      *testing.T
	server *cosmosfake.Server
	client *cosmos.Client
}

func newAccount(t *testing.T) *account {
	t.Helper()
	server, err := cosmosfake.New(cosmosfake.Options{Ranges: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close emulator: %v", err)
		}
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, server.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := cosmos.New(cosmos.Options{Endpoint: server.URL(), Key: config.NewSecret(server.Key()), CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	a := &account{t: t, server: server, client: client}
	a.post("dbs", `{"id":"`+database+`"}`)
	a.createContainer()
	return a
}

// createContainer makes shop.products, cut by its tenant.
func (a *account) createContainer() {
	a.t.Helper()
	a.post("dbs/"+database+"/colls", `{"id":"`+products+`","partitionKey":{"paths":["/tenant"],"kind":"Hash","version":2},"computedProperties":[]}`)
}

func (a *account) post(path, body string, header ...string) {
	a.t.Helper()
	a.send(http.MethodPost, path, body, header...)
}

// put writes a document as it stands.
func (a *account) put(tenant, document string) {
	a.t.Helper()
	a.post("dbs/"+database+"/colls/"+products+"/docs", document,
		"x-ms-documentdb-partitionkey", `["`+tenant+`"]`, "x-ms-documentdb-is-upsert", "True")
}

func (a *account) send(method, path, body string, header ...string) {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.server.URL()+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	sign(a.t, request, path, a.server.Key())
	response, err := a.server.Client().Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode >= 300 {
		a.t.Fatalf("%s %s: got %d, %v: %s", method, path, response.StatusCode, err, answer)
	}
}

func (a *account) container() *cosmos.Container {
	a.t.Helper()
	c, err := a.client.ReadContainer(a.t.Context(), database, products)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func (a *account) ranges() []schemas.FeedRange {
	a.t.Helper()
	ranges, err := a.client.FeedRanges(a.t.Context(), database, products)
	if err != nil {
		a.t.Fatal(err)
	}
	return ranges
}

func (a *account) read(c *cosmos.Container, span schemas.FeedRange, token string) *cosmos.Page {
	a.t.Helper()
	page, err := a.client.ReadChanges(a.t.Context(), cosmos.ReadOptions{Container: c, Range: span, Token: token, MaxItems: 2})
	if err != nil {
		a.t.Fatal(err)
	}
	return page
}

// drain reads until a 304.
func (a *account) drain(c *cosmos.Container, span schemas.FeedRange, token string) (items []string, last *cosmos.Page) {
	a.t.Helper()
	for {
		last = a.read(c, span, token)
		for _, item := range last.Items {
			items = append(items, string(item))
		}
		if token = last.Token; last.NotModified {
			return items, last
		}
	}
}

func TestFeedGivesTheServiceBytes(t *testing.T) {
	a := newAccount(t)
	want := map[string]bool{}
	for i := range 20 {
		document := fmt.Sprintf(`{ "id":"d%d", "tenant" : "t%d","n":9007199254740993123,"f":1.0,"e":1e400,"d":1,"d":2,"s":"\u003c<é\"]}" }`, i, i)
		a.put(fmt.Sprintf("t%d", i), document)
		want[strings.TrimSuffix(document, "}")] = true
	}
	c := a.container()
	for _, span := range a.ranges() {
		items, last := a.drain(c, span, "")
		for _, item := range items {
			user, _, ok := strings.Cut(item, `,"_rid":`)
			if !ok || !want[user] {
				t.Errorf("range %s: got %s, want the bytes that were written", span, item)
			}
			delete(want, user)
		}
		if !last.Positioned || last.Position != last.Session.Newest || last.Session.Config < 0 || last.Date.IsZero() {
			t.Errorf("range %s: got 304 %+v, want a position at the newest LSN, a configuration number and a date", span, last)
		}
	}
	if len(want) > 0 {
		t.Errorf("got %d documents too few: %v", len(want), want)
	}
}

func TestFromNow(t *testing.T) {
	a := newAccount(t)
	a.put("a", `{"id":"before","tenant":"a"}`)
	c := a.container()
	for _, span := range a.ranges() {
		token := cosmos.FromNow(c, span)
		if !cosmos.IsFromNow(token) {
			t.Fatalf("got %s, want a token that stands for the present", token)
		}
		page := a.read(c, span, token)
		if len(page.Items) > 0 || cosmos.IsFromNow(page.Token) || !page.Positioned {
			t.Errorf("range %s: got %d items and token %s, want none, and a pin", span, len(page.Items), page.Token)
		}
		a.put("a", `{"id":"after","tenant":"a"}`)
		items, _ := a.drain(c, span, page.Token)
		for _, item := range items {
			if !strings.Contains(item, `"after"`) {
				t.Errorf("range %s: got %s, want nothing from before", span, item)
			}
		}
	}
}

func TestContainerMadeAnew(t *testing.T) {
	a := newAccount(t)
	a.put("a", `{"id":"1","tenant":"a"}`)
	old, span := a.container(), a.ranges()[0]
	_, last := a.drain(old, span, "")
	a.send(http.MethodDelete, "dbs/"+database+"/colls/"+products, "")
	a.createContainer()

	// azcosmos still believes in the old one: the service refuses the intended incarnation.
	_, err := a.client.ReadChanges(t.Context(), cosmos.ReadOptions{Container: old, Range: span, Token: last.Token})
	if !errors.Is(err, cosmos.ErrIncarnation) {
		t.Errorf("got %v, want ErrIncarnation", err)
	}
	if now := a.container(); now.RID == old.RID {
		t.Errorf("got resource id %s again, want another", now.RID)
	}
}

func TestRangeMoved(t *testing.T) {
	a := newAccount(t)
	c, spans := a.container(), a.ranges()
	for name, span := range map[string]schemas.FeedRange{
		"two ranges":      {Min: spans[0].Min, Max: spans[1].Max},
		"nothing of ours": schemas.WholeRange(),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.client.ReadChanges(t.Context(), cosmos.ReadOptions{Container: c, Range: span})
			if !errors.Is(err, cosmos.ErrTopology) {
				t.Errorf("got %v, want ErrTopology", err)
			}
		})
	}
	t.Run("410", func(t *testing.T) {
		a.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
			if r.Header.Get("A-IM") != "" && strings.HasSuffix(r.URL.Path, "/docs") {
				return &cosmosfake.Fault{Status: 410, Substatus: 1002, Message: "gone"}
			}
			return nil
		})
		defer a.server.SetHook(nil)
		_, err := a.client.ReadChanges(t.Context(), cosmos.ReadOptions{Container: c, Range: spans[0]})
		if !errors.Is(err, cosmos.ErrTopology) {
			t.Errorf("got %v, want ErrTopology", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	a := newAccount(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, a.server.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, missing := a.client.ReadContainer(t.Context(), database, "nothing")
	wrong, err := cosmos.New(cosmos.Options{Endpoint: a.server.URL(), Key: config.NewSecret("d3Jvbmc="), CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	_, unauthorized := wrong.ReadAccount(t.Context())
	_, unset := cosmos.New(cosmos.Options{Endpoint: a.server.URL()})
	_, garbage := cosmos.New(cosmos.Options{Endpoint: a.server.URL(), Key: config.NewSecret("not base64!")})
	_, noFile := cosmos.New(cosmos.Options{Endpoint: a.server.URL(), Key: config.NewSecret(a.server.Key()), CAFile: ca + "x"})
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"missing container": {missing, "shop.nothing"},
		"wrong key":         {unauthorized, "cosmos.key"},
		"no key":            {unset, "cosmos.key"},
		"no base64":         {garbage, "base64"},
		"no ca_file":        {noFile, "cosmos.ca_file"},
	} {
		t.Run(name, func(t *testing.T) {
			var coded interface{ ExitCode() int }
			if !errors.As(test.err, &coded) || coded.ExitCode() != 2 || !strings.Contains(test.err.Error(), test.says) {
				t.Errorf("got %v, want exit code 2 and a word about %s", test.err, test.says)
			}
		})
	}
}

// TestOneRequestPerPoll keeps the price of an idle range at one request.
func TestOneRequestPerPoll(t *testing.T) {
	a := newAccount(t)
	c, span := a.container(), a.ranges()[0]
	_, last := a.drain(c, span, "")
	var requests atomic.Int32
	a.server.SetHook(func(*http.Request) *cosmosfake.Fault {
		requests.Add(1)
		return nil
	})
	for range 5 {
		last = a.read(c, span, last.Token)
	}
	if got := requests.Load(); got != 5 {
		t.Errorf("got %d requests in 5 polls, want 5", got)
	}
}

func TestCancelled(t *testing.T) {
	a := newAccount(t)
	c, span := a.container(), a.ranges()[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.client.ReadChanges(ctx, cosmos.ReadOptions{Container: c, Range: span}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestTornPage tears every answer to a read of the change feed, wherever that may be: none is taken for a page. When only the
// first is torn, the page is whole.
func TestTornPage(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for i := range 40 {
		a.put("books", fmt.Sprintf(`{"id":"%d","tenant":"books","text":"%s"}`, i, strings.Repeat("x", 100*i)))
	}
	container := a.container()
	o := cosmos.ReadOptions{Container: container, MaxItems: 100}
	var whole *cosmos.Page
	for _, o.Range = range a.ranges() {
		page, err := a.client.ReadChanges(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > 0 {
			whole = page
			break
		}
	}
	size := 0
	for _, item := range whole.Items {
		size += len(item)
	}
	for _, tear := range []int64{-1, int64(size) / 2} {
		var torn atomic.Int64
		ctx, enough := context.WithCancel(t.Context())
		a.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
			if r.Header.Get("A-IM") == "" {
				return nil
			}
			if torn.Add(1) == 2 { // the client came again
				enough()
			}
			return &cosmosfake.Fault{Tear: tear}
		})
		if page, err := a.client.ReadChanges(ctx, o); err == nil {
			t.Errorf("torn after %d of more than %d bytes: got a page of %d items, want an error", tear, size, len(page.Items))
		}
		enough()
		if torn.Load() == 0 {
			t.Fatal("got no read of the change feed")
		}
		a.server.SetHook(nil)
		if err := a.server.AddFault(cosmosfake.FaultRule{Path: "/docs", Count: 1, Fault: cosmosfake.Fault{Tear: tear}}); err != nil {
			t.Fatal(err)
		}
		page, err := a.client.ReadChanges(t.Context(), o)
		if err != nil || len(page.Items) != len(whole.Items) {
			t.Fatalf("torn once after %d bytes: got %v, want the whole page", tear, err)
		}
		if met := a.server.Faults()[0].Met; met != 1 {
			t.Errorf("got %d torn answers want 1", met)
		}
		a.server.ClearFaults()
	}
}
