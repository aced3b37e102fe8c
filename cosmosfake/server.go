package cosmosfake

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

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

	clock  clock
	ledger ledger
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
		clock: clock{source: options.Clock}, ledger: ledger{w: options.Ledger},
		databases: make(map[string]*database), offers: make(map[string]*offer), dropped: make(map[string]*container),
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
		go s.purgeAll(s.options.PurgeEvery)
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

// Close ends all connections and waits for the listener to end. Requests in flight are cut off.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	s.client.CloseIdleConnections()
	if err := s.journal.close(); err != nil {
		return fmt.Errorf("close cosmosfake: %w", err)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close cosmosfake: %w", err)
	}
	return nil
}
