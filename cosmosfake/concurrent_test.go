package cosmosfake_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestConcurrent writes, reads, lags and fails over at once; afterwards the ledger folds to what can be read.
func TestConcurrent(t *testing.T) {
	var ledger memoryLedger
	s := startServer(t, cosmosfake.Options{Ledger: &ledger})
	c := rest{t, s}
	c.makeOrders(2)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 60 {
				c.upsert(fmt.Sprintf("[%d]", i%5), fmt.Sprintf(`{"id":"%d.%d","pk":%d,"i":%d}`, w, i%7, i%5, i))
			}
		})
	}
	for id := range 2 {
		all.Go(func() {
			etag := ""
			for range 40 {
				etag = c.feed(fmt.Sprint(id), etag, "x-ms-max-item-count", "5").header.Get("etag")
			}
		})
		all.Go(func() {
			at := cosmosfake.Range{Database: "shop", Container: "orders", ID: fmt.Sprint(id)}
			for range 10 {
				if _, err := s.Bump(at, 3); err != nil {
					t.Error(err)
				}
				if _, err := s.Lag(at, 2, 1); err != nil {
					t.Error(err)
				}
				if _, err := s.Failover(at, 2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	want := map[string]string{}
	undo := map[string][]cosmosfake.Entry{}
	for _, e := range ledger.entries(t) {
		if e.Op != cosmosfake.OpFailover {
			undo[e.Range] = append(undo[e.Range], e)
			continue
		}
		for n := len(undo[e.Range]); n > 0 && undo[e.Range][n-1].LSN >= e.UndoneFrom; n-- {
			undo[e.Range] = undo[e.Range][:n-1]
		}
	}
	for id, list := range undo {
		for _, e := range list {
			if e.Op == cosmosfake.OpUpsert {
				want[id+e.PK+e.ID] = e.SHA256
			}
		}
	}
	n := 0
	for _, id := range []string{"0", "1"} {
		for _, d := range c.must(200, "GET", docs, "", rangH, id, "x-ms-max-item-count", "1000").page(t).Documents {
			n++
			plain := strip(t, d)
			found := false
			for key, sum := range want {
				found = found || sum == hash(plain) && strings.HasPrefix(key, id)
			}
			if !found {
				t.Errorf("range %s has %s, which the ledger has not", id, plain)
			}
		}
	}
	if n != len(want) {
		t.Errorf("got %d documents, want %d", n, len(want))
	}
}

// TestHTTP2 uses the protocol that azcosmos' own transport chooses, and only the certificate that others would have.
func TestHTTP2(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CAPEM()) {
		t.Fatal("CAPEM holds no certificate")
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, url := range []string{s.URL(), strings.Replace(s.URL(), "127.0.0.1", "localhost", 1)} {
		req := c.request("GET", "/", "")
		at, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL, req.Host = at.URL, at.Host
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var account struct {
			Writable []struct {
				Endpoint string `json:"databaseAccountEndpoint"`
			} `json:"writableLocations"`
		}
		decode(t, res, &account)
		want := strings.Replace(url, "localhost", "127.0.0.1", 1)
		if res.ProtoMajor != 2 || len(account.Writable) != 1 || account.Writable[0].Endpoint != want {
			t.Errorf("got %s and %+v, want HTTP/2 and %s", res.Proto, account, want)
		}
	}
	s.SetHook(once("GET", cosmosfake.Fault{Drop: cosmosfake.DropBefore}))
	if res, err := client.Do(c.request("GET", coll, "")); err == nil {
		_ = res.Body.Close()
		t.Errorf("got %d, want a broken stream", res.StatusCode)
	}
}
