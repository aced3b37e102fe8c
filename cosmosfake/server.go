package cosmosfake

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultKey is the well-known key of Microsoft's own emulator. It protects nothing.
const DefaultKey = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

// MaxRanges is the greatest number of physical ranges of one container.
const MaxRanges = 1024

// Options of a Server. The zero value listens on a free port of 127.0.0.1 with DefaultKey, gives containers one
// physical range, and keeps no ledger. New refuses values that make no sense.
type Options struct {
	// Addr is host:port to listen on. Default "127.0.0.1:0".
	Addr string
	// Key is the account's master key in base64. Default DefaultKey.
	Key string
	// Ranges is the number of physical ranges of a container that is created without the header
	// "x-ms-cosmosfake-ranges". Default 1.
	Ranges int
	// ComputeAddr is host:port of the account's second gateway, which takes every id in a path as it was escaped; the
	// first one, like the service's, cannot reach items whose ids end with blanks or hold some characters. Default none.
	ComputeAddr string
	// Region is the name of the account's region. Default DefaultRegion.
	Region string
	// SecondRegion is the name of another region, see SecondURL and FailOverRegion. Default none.
	SecondRegion string
	// SecondAddr is host:port that the second region listens on. Default a free port of Addr's host.
	SecondAddr string
	// Consistency is the account's default consistency level, which clients are told: Strong, BoundedStaleness, Session,
	// ConsistentPrefix or Eventual. Default DefaultConsistency.
	Consistency string
	// Dir is a folder that everything is written to before it is acknowledged, and read from at start; it is made if it
	// is not there. Default none: the account is forgotten.
	Dir string
	// Hosts are further names and addresses that the server's certificate is for; it always is for localhost, 127.0.0.1,
	// ::1 and Addr's host. An authority that is made at start signs it, and Dir keeps that.
	Hosts []string
	// TLS is the server's certificate, if it is not to be made: its chain, and its key. Default none.
	TLS *tls.Certificate
	// Clock is the service's time. Default time.Now. The server never lets it go back. With a clock of its own the
	// server does not check how old a request's date is.
	Clock func() time.Time
	// Ledger receives one write per transaction, whole JSON lines. When a write fails in the middle, what it wrote is cut
	// off again if this is an *os.File that nobody else writes to; of others nothing is written and so nothing done any
	// more: readers ignore a last line without an end. A file that can be read as well is mended at the start: a torn
	// last line is cut off, and what a kill let come into Dir only is appended. Default none.
	Ledger io.Writer
	// Retention is how long the account keeps all versions and deletions, as one with continuous backup and the
	// all-versions-and-deletes change feed does. Default 0: it does not, and that feed is refused.
	Retention time.Duration
	// Deletion is the shape of deletions in that feed.
	Deletion DeletionShape
	// PreviousImages lets deletions in that feed carry the version that they ended, as `previous`.
	PreviousImages bool
	// Session is the form of the account's session tokens.
	Session SessionForm
	// Throughput in RU/s turns the limit on: what is beyond it is refused with 429. A container has what its own offer
	// says, and this when it is created without one, whatever /offers shows for it (400, as in the service). It is shared
	// evenly by the physical ranges. Default 0: there is no limit, and offers are only remembered.
	Throughput float64
	// SplitBytes is the size of a physical range, in bytes of live documents, from which on it is split by itself.
	// Default 0: never.
	SplitBytes int64
	// PurgeEvery is how often documents whose time to live is over are removed for good; they are not seen from the
	// moment on in which it is over. Default 0: by Purge only.
	PurgeEvery time.Duration
	// Scan is the order in which queries read where they ask for none.
	Scan ScanOrder
	// Seed draws the resource ids of databases and containers: the same creations get the same ones with the same seed.
	// Default 0: others at every start, as the service never gives one twice. Whoever remembers more than one start of a
	// seeded account without Dir takes the containers of one for those of another.
	Seed uint64
	// Hook is asked about every request, see SetHook. Default none.
	Hook Hook
}

// Server is a running account. All methods may be called from any goroutine.
type Server struct {
	options  Options
	key      []byte
	ca       *authority
	listener net.Listener
	compute  net.Listener // nil without one
	second   net.Listener // of the second region; nil without one
	http     *http.Server
	client   *http.Client
	done     chan struct{}
	gate     gate
	purges   sync.WaitGroup

	clock  clock
	ledger *ledger
	// journal is nil without a data directory.
	journal *journal
	hook    atomic.Pointer[Hook]
	rules   rules
	etags   atomic.Uint64
	merged  atomic.Bool  // some ranges of the account, once
	writer  atomic.Int32 // the region that takes writes
	behind  atomic.Int64 // LSNs that the other is behind

	mu        sync.RWMutex
	databases map[string]*database
	offers    map[string]*offer // by the resource id of their database or container
	draw      *rand.Rand        // of resource ids
	rids      uint32
	offered   uint32
	dropped   map[string]*container // by path; the last of each
}

// New starts a server. Close it when done.
func New(options Options) (*Server, error) {
	options = options.withDefaults()
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("start cosmosfake: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(options.Key)
	if err != nil {
		return nil, fmt.Errorf("start cosmosfake: %w", wrong("Key", "is not base64: %w", err))
	}
	host, _, err := net.SplitHostPort(options.Addr)
	if err != nil {
		return nil, fmt.Errorf("start cosmosfake: %w", wrong("Addr", "%q is not host:port: %w", options.Addr, err))
	}
	listener, err := listen("Addr", options.Addr)
	if err != nil {
		return nil, fmt.Errorf("start cosmosfake: %w", err)
	}
	s := &Server{
		options: options, key: key, listener: listener, done: make(chan struct{}),
		clock: clock{source: options.Clock},
		draw:  drawing(options.Seed), databases: make(map[string]*database), offers: make(map[string]*offer), dropped: make(map[string]*container),
	}
	s.rids = s.draw.Uint32()
	if s.ledger, err = openLedger(options.Ledger); err != nil {
		return nil, errors.Join(fmt.Errorf("start cosmosfake: open ledger: %w", err), listener.Close())
	}
	if options.ComputeAddr != "" {
		if s.compute, err = listen("ComputeAddr", options.ComputeAddr); err != nil {
			return nil, errors.Join(fmt.Errorf("start cosmosfake: %w", err), listener.Close())
		}
	}
	if options.SecondRegion != "" {
		addr := options.SecondAddr
		if addr == "" {
			addr = net.JoinHostPort(host, "0")
		}
		if s.second, err = listen("SecondAddr", addr); err != nil {
			return nil, errors.Join(fmt.Errorf("start cosmosfake: %w", err), s.closeListeners())
		}
	}
	if options.Dir != "" {
		if err := s.openJournal(); err != nil {
			return nil, errors.Join(fmt.Errorf("start cosmosfake: %w", err), s.closeListeners())
		}
	}
	if options.TLS != nil {
		s.ca, err = givenAuthority(*options.TLS)
	} else {
		s.ca, err = newAuthority(options.Dir, append([]string{host}, options.Hosts...))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start cosmosfake: %w", err), s.closeListeners(), s.journal.close())
	}
	s.SetHook(options.Hook)
	s.serve()
	return s, nil
}

func (s *Server) serve() {
	s.http = &http.Server{
		Handler:   http.HandlerFunc(s.serveHTTP),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.ca.leaf}, MinVersion: tls.VersionTLS12},
		// Clients that go away in the middle of a handshake are no news to a test.
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 30 * time.Second,
		BaseContext:       s.baseContext,
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.ca.pem)
	s.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: s.ca.serverName()},
		MaxIdleConnsPerHost: 64,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
	}}
	var listening sync.WaitGroup
	for _, listener := range []net.Listener{s.listener, s.compute, s.second} {
		if listener != nil {
			// ServeTLS always returns an error: ErrServerClosed after Close, and nobody to tell otherwise.
			listening.Go(func() { _ = s.http.ServeTLS(listener, "", "") })
		}
	}
	go func() {
		defer close(s.done)
		listening.Wait()
	}()
	if s.options.PurgeEvery > 0 {
		s.purges.Go(func() { s.purgeAll(s.options.PurgeEvery) })
	}
}

// URL is the account's endpoint, such as "https://127.0.0.1:40123/". A server that listens on all addresses names
// the local one.
func (s *Server) URL() string { return urlOf(s.listener) }

// ComputeURL is the endpoint of the second gateway; "" without one.
func (s *Server) ComputeURL() string {
	if s.compute == nil {
		return ""
	}
	return urlOf(s.compute)
}

func urlOf(listener net.Listener) string {
	addr := listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(addr.Port)) + "/"
}

// Key is the account's master key in base64.
func (s *Server) Key() string { return s.options.Key }

// CAPEM is the certificate that clients must trust: of the authority that signed the server's certificate, which is made
// at start and kept by a data directory, or the last of Options.TLS.
func (s *Server) CAPEM() []byte { return append([]byte(nil), s.ca.pem...) }

// Client trusts the server's certificate. All callers share it.
func (s *Server) Client() *http.Client { return s.client }

func (s *Server) closeListeners() error {
	err := s.listener.Close()
	if s.compute != nil {
		err = errors.Join(err, s.compute.Close())
	}
	if s.second != nil {
		err = errors.Join(err, s.second.Close())
	}
	return err
}

// Close ends all connections and waits for what is done at that moment. Requests in flight are cut off: they were done,
// and are in the ledger and the data directory, or not. A hook is not waited for; what it holds up is not done.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	s.gate.close()
	s.purges.Wait()
	s.client.CloseIdleConnections()
	s.ledger.close()
	if err := s.journal.close(); err != nil {
		return fmt.Errorf("close cosmosfake: %w", err)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close cosmosfake: %w", err)
	}
	return nil
}

// gate lets requests in until it is closed.
type gate struct {
	mu     sync.RWMutex
	closed bool
}

// enter tells whether a request may be done, which ends with leave.
func (g *gate) enter() bool {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return false
	}
	return true
}

func (g *gate) leave() { g.mu.RUnlock() }

// close waits for all who are in.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// clock is the service's time, which never goes back.
type clock struct {
	source func() time.Time
	ahead  atomic.Int64 // of the source
	last   atomic.Int64
}

func (c *clock) now() time.Time {
	source := c.source
	if source == nil {
		source = time.Now
	}
	now := source().UnixNano() + c.ahead.Load()
	for {
		last := c.last.Load()
		if now <= last {
			return time.Unix(0, last).UTC()
		}
		if c.last.CompareAndSwap(last, now) {
			return time.Unix(0, now).UTC()
		}
	}
}
