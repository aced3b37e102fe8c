package cosmos

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/sleep"
)

// WriterOptions name the account. Zero values of Connections and Wait mean 8 and the system's clock. Key is read again
// when the account refuses it.
type WriterOptions struct {
	Endpoint    string        // https://<account>.documents.azure.com:443/
	Key         config.Secret // the account's key in base64
	CAFile      string        // PEM with additional roots, for emulators
	Connections int           // that are kept open
	Wait        func(ctx context.Context, d time.Duration) error
}

const (
	restVersion = "2020-11-05" // of the REST protocol, as azcosmos v1.5.0 sends it

	dialTimeout    = 5 * time.Second  // as azcosmos' own transport has them
	attemptTimeout = 65 * time.Second // just above the gateway's own 60 s
	answerLimit    = 4 << 20          // a document with what the service splices in

	// maxTroubled bounds the attempts at one request that failed for the network's or the service's sake.
	maxTroubled = 10
	// maxThrottled bounds how long one request waits in all because of 429 and 449.
	maxThrottled = 10 * time.Minute

	firstWait   = 100 * time.Millisecond
	longestWait = 10 * time.Second

	statusRetryWith = 449
)

// rest sends signed requests.
type rest struct {
	endpoint string // without the last slash
	client   *http.Client
	wait     func(ctx context.Context, d time.Duration) error

	key      atomic.Pointer[[]byte]
	secret   config.Secret // where the key is from
	renewing sync.Mutex
}

func newREST(o WriterOptions) (*rest, error) {
	address, err := url.Parse(o.Endpoint)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("cosmos.endpoint %q is no address, want https://<account>.documents.azure.com:443/", o.Endpoint)
	}
	text, err := o.Key.Reveal()
	if err != nil { // it names the setting, and what to do
		return nil, err
	}
	key, err := decodeKey(text)
	if err != nil {
		return nil, err
	}
	roots, err := rootsWith(o.CAFile)
	if err != nil {
		return nil, err
	}
	if o.Connections == 0 {
		o.Connections = 8
	}
	if o.Wait == nil {
		o.Wait = sleep.For
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: 2 * dialTimeout,
		MaxIdleConns:        o.Connections,
		MaxIdleConnsPerHost: o.Connections,
		IdleConnTimeout:     90 * time.Second,
		WriteBufferSize:     32 << 10,
		ReadBufferSize:      32 << 10,
	}
	r := &rest{
		endpoint: address.Scheme + "://" + address.Host,
		client:   &http.Client{Transport: transport, Timeout: attemptTimeout}, wait: o.Wait, secret: o.Key,
	}
	r.key.Store(&key)
	return r, nil
}

func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("cosmos.key is not base64; copy the account's primary or secondary key whole, with its ==")
	}
	return key, nil
}

// renewed takes the key again from where it is kept, when it was refused: it may have been rotated. It says whether another one
// is used by now. What cannot be read, or is no key, changes nothing: the refusal says what is wrong.
func (r *rest) renewed(refused *[]byte) bool {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	if r.key.Load() != refused {
		return true // another request has found it
	}
	text, err := r.secret.Reveal()
	if err != nil {
		return false
	}
	key, err := decodeKey(text)
	if err != nil || bytes.Equal(key, *refused) {
		return false
	}
	r.key.Store(&key)
	return true
}

// rootsWith is the system's roots and those of the file; nil is the system's alone.
func rootsWith(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := config.ReadFile("cosmos.ca_file", file)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read cosmos.ca_file: %s holds no certificate in PEM form", file)
	}
	return roots, nil
}

// request is one thing to ask, the same in every attempt.
type request struct {
	op, method       string
	kind, link, path string // what is signed, and where it goes
	rid, key         string // intended container, partition key header
	body             []byte
	isBatch          bool // the body is a transactional batch
	absent           absence
	attempts         int // at most, in trouble; 0 is maxTroubled
}

// absence says what a 404 means to a request.
type absence uint8

const (
	absentIsTrouble absence = iota // a container just made is not known everywhere yet
	absentIsAnswer
)

// answer is the last one of a request, with what all attempts cost.
type answer struct {
	op                string
	status, substatus int
	body              []byte
	charge            float64
	throttled         int
	renewed           bool // it is a refusal of a key, and another one is used by now
}

// StatusError is a refusal of the service.
type StatusError struct {
	Op                string
	Status, Substatus int
	Message           string
}

// Error gives the service's own words and, where it is known, the remedy.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: the service answered %d/%d", e.Op, e.Status, e.Substatus)
	if e.Message != "" {
		text += ": " + e.Message
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		text += "; check that cosmos.key is a key of this account, and this machine's clock"
	case e.Status == http.StatusForbidden:
		text += "; the key is read-only, or the account's firewall refuses this address"
	case e.Status == http.StatusNotFound:
		text += "; check the names of database and container, and cosmos.endpoint"
	case e.Status == http.StatusBadRequest && e.Substatus == 1024:
		text += "; the container was deleted and made again meanwhile"
	case e.Status == http.StatusTooManyRequests:
		text += "; give the container more throughput, and run the same command again"
	}
	return text
}

// ExitCode is 2 for what the same request meets again, 1 for trouble that passes.
func (e *StatusError) ExitCode() int {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		return 2
	}
	return 1
}

func (a answer) refusal() error {
	var said struct {
		Message string `json:"message"`
	}
	text := string(a.body)
	if json.Unmarshal(a.body, &said) == nil && said.Message != "" {
		text = said.Message
	}
	text, _, _ = strings.Cut(text, "\r\n")         // what follows is the activity id
	text = strings.Join(strings.Fields(text), " ") // what was to be signed, for one, stands there in lines
	const enough = 500
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + "…"
	}
	return &StatusError{Op: a.op, Status: a.status, Substatus: a.substatus, Message: text}
}

// do sends the request until it has an answer that is neither trouble nor throttling.
func (r *rest) do(ctx context.Context, q request) (answer, error) {
	return r.persist(ctx, q, func(ctx context.Context) (answer, time.Duration, error) { return r.try(ctx, q) })
}

// persist is do with another way to send the request once.
func (r *rest) persist(
	ctx context.Context, q request, try func(ctx context.Context) (a answer, retryAfter time.Duration, err error),
) (answer, error) {
	total := answer{op: q.op}
	var waited time.Duration
	most := q.attempts
	if most == 0 {
		most = maxTroubled
	}
	for troubled := 0; ; {
		a, after, err := try(ctx)
		total.status, total.substatus, total.body = a.status, a.substatus, a.body
		total.charge += a.charge
		switch {
		case err != nil && ctx.Err() != nil:
			return total, ctx.Err()
		case isUntrusted(err):
			return total, err
		case err == nil && a.renewed:
			continue
		case err == nil && isThrottling(a.status):
			total.throttled++
			if after == 0 {
				after = backoff(total.throttled)
			}
			if waited += after; waited > maxThrottled {
				return total, fmt.Errorf("throttled for %v: %w", maxThrottled, total.refusal())
			}
		case err != nil || isTrouble(a, q):
			if troubled++; troubled == most {
				if err == nil {
					err = total.refusal()
				}
				return total, fmt.Errorf("gave up after %d attempts: %w", troubled, err)
			}
			after = max(after, backoff(troubled))
		default:
			return total, nil
		}
		if err := r.wait(ctx, after); err != nil {
			return total, err
		}
	}
}

// isTrouble tells answers after which the same request may succeed. 410 is a range on the move (1002, 1007, 1008).
func isTrouble(a answer, q request) bool {
	switch a.status {
	case http.StatusNotFound:
		return q.absent == absentIsTrouble
	case http.StatusRequestTimeout, http.StatusGone, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusForbidden:
		return a.substatus == 3 || a.substatus == 1008 // the write region moves
	}
	return false
}

func isThrottling(status int) bool {
	return status == http.StatusTooManyRequests || status == statusRetryWith
}

// backoff doubles with the attempt and is drawn from the upper half, so that writers do not come back together.
func backoff(attempt int) time.Duration {
	d := min(firstWait<<min(attempt-1, 10), longestWait)
	return d/2 + rand.N(d/2+1)
}

// try sends the request once.
func (r *rest) try(ctx context.Context, q request) (a answer, retryAfter time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, q.method, r.endpoint+q.path, bytes.NewReader(q.body))
	if err != nil {
		return a, 0, fmt.Errorf("%s: %w", q.op, err)
	}
	key := r.key.Load()
	sign(req, q, *key)
	res, err := r.client.Do(req)
	if err != nil {
		return a, 0, unanswered(q.op, err)
	}
	body, err := readAnswer(res)
	if err != nil {
		return a, 0, fmt.Errorf("%s: read answer: %w", q.op, err)
	}
	a = answer{op: q.op, status: res.StatusCode, substatus: substatusOf(res), body: body}
	a.charge, _ = strconv.ParseFloat(res.Header.Get("x-ms-request-charge"), 64)
	a.renewed = a.status == http.StatusUnauthorized && r.renewed(key)
	return a, retryAfterOf(res), nil
}

func substatusOf(res *http.Response) int {
	n, _ := strconv.Atoi(res.Header.Get("x-ms-substatus")) // absent is 0
	return n
}

// retryAfterOf is 0 where the service does not say.
func retryAfterOf(res *http.Response) time.Duration {
	ms, err := strconv.ParseFloat(res.Header.Get("x-ms-retry-after-ms"), 64)
	if err != nil || ms <= 0 {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

func readAnswer(res *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit+1))
	if err == nil && len(body) > answerLimit {
		err = fmt.Errorf("it is longer than %d bytes", answerLimit)
	}
	return body, errors.Join(err, res.Body.Close())
}

// sign adds the headers.
func sign(req *http.Request, q request, key []byte) {
	date := time.Now().UTC().Format(http.TimeFormat)
	h := req.Header
	h.Set("Authorization", authorization(key, q, date))
	h.Set("x-ms-date", date)
	h.Set("x-ms-version", restVersion)
	h.Set("Accept", "application/json")
	h.Set("User-Agent", "almanac")
	if q.method == http.MethodPost {
		h.Set("Content-Type", "application/json")
	}
	if q.kind == "docs" {
		h.Set("x-ms-documentdb-partitionkey", q.key)
	}
	switch {
	case q.isBatch:
		for _, name := range []string{"is-batch-request", "batch-atomic", "batch-ordered"} {
			h.Set("x-ms-cosmos-"+name, "True")
		}
	case q.kind == "docs":
		h.Set("Prefer", "return=minimal")
	}
	if q.rid != "" {
		h.Set("x-ms-cosmos-intended-collection-rid", q.rid)
	}
}

// authorization is the master-key signature of the REST reference, "Access control on Cosmos DB resources".
func authorization(key []byte, q request, date string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, strings.ToLower(q.method+"\n"+q.kind)+"\n"+q.link+"\n"+strings.ToLower(date)+"\n\n") // never errs
	return url.QueryEscape("type=master&ver=1.0&sig=" + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
