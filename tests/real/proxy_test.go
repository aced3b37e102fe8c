package real_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
)

// fate is what becomes of one request on its way.
type fate int

const (
	pass       fate = iota
	dropped         // it never arrives; the connection breaks
	lost            // it is done; the connection breaks before the answer
	torn            // it is done; the connection breaks within the answer's body
	busy            // 503, and it is not done
	failedDone      // 500, although it is done
)

// proxy stands between a client and Azurite and breaks what passes by a hook. Its own state is what it saw.
type proxy struct {
	*httptest.Server

	target string
	client *http.Client

	mu   sync.Mutex
	hook func(*http.Request) fate
	seen []*http.Request
	met  map[fate]int
	cut  bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{target: target, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, met: map[fate]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// randomly gives each of the five ways to fail the same rate.
func (p *proxy) randomly(seed uint64, rate float64) {
	random := rand.New(rand.NewPCG(seed, 1)) // under p.mu
	p.on(func(*http.Request) fate {
		if n := int(random.Float64() / rate); n < int(failedDone) {
			return fate(n + 1)
		}
		return pass
	})
}

func (p *proxy) on(hook func(*http.Request) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook, p.seen = hook, nil
}

// breakAll breaks everything at once: what is under way is done or not and never answered, and nothing passes until mend.
// Whatever was answered had been done before it returns.
func (p *proxy) breakAll() { p.setCut(true) }

func (p *proxy) mend() { p.setCut(false) }

func (p *proxy) setCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

func (p *proxy) isCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

// requests are those that were seen since the hook was set.
func (p *proxy) requests(match func(*http.Request) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.seen {
		if match(r) {
			n++
		}
	}
	return n
}

func (p *proxy) choose(r *http.Request) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	chosen := pass
	switch {
	case p.cut:
		chosen = dropped
	case p.hook != nil:
		p.seen = append(p.seen, r)
		chosen = p.hook(r)
	}
	p.met[chosen]++
	return chosen
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	chosen := p.choose(r)
	switch chosen {
	case dropped:
		panic(http.ErrAbortHandler) // breaks the connection
	case busy:
		refuse(w, http.StatusServiceUnavailable, "ServerBusy")
		return
	}
	answer, body, err := p.forward(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	switch {
	case chosen == lost, chosen == torn && len(body) == 0, p.isCut():
		panic(http.ErrAbortHandler)
	case chosen == failedDone && r.Method == http.MethodPut:
		refuse(w, http.StatusInternalServerError, "InternalError")
		return
	}
	for key, values := range answer.Header {
		w.Header()[key] = values
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.StatusCode)
	if chosen == torn {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.WriteHeader(status)
}

func (p *proxy) forward(r *http.Request) (*http.Response, []byte, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, err
	}
	onward, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(sent))
	if err != nil {
		return nil, nil, err
	}
	onward.Header = r.Header.Clone()
	onward.ContentLength = int64(len(sent))
	answer, err := p.client.Do(onward)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}
