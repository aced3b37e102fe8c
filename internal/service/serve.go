package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Serve runs a command that goes on until it is stopped. While run is at work
// /metrics, /healthz and /readyz are answered on service.listen, if it is set;
// the address stands in the log as `addr`. From here on errors go to the log.
// Commands that print a result and end do not call it, so they can run beside a
// server with the same almanac.yaml.
func (e *Env) Serve(ctx context.Context, run func(context.Context) error) error {
	e.served.Store(true)
	e.Log.Info("starting", "program", e.Program, "version", version().Version)
	if e.Config.Service.Listen == "" {
		return run(ctx)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", e.Config.Service.Listen)
	if err != nil && ctx.Err() != nil {
		return nil // it was stopped before it began
	}
	if err != nil {
		return fmt.Errorf("listen on service.listen: %w", err)
	}
	server := &http.Server{
		Handler:           e.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	e.Log.Info("listening", "addr", listener.Addr().String())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	served := make(chan error, 1)
	go func() {
		err := server.Serve(listener)
		if !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve metrics: %w", err))
		}
		served <- err
	}()
	result := run(ctx)
	if err := server.Close(); err != nil {
		e.Log.Warn("closed metrics server", "error", err.Error())
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(result, fmt.Errorf("serve metrics: %w", err))
	}
	return result
}

func (e *Env) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(e.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		text, ready := e.Health.state()
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(text) // the client has gone: nobody to tell
	})
	return mux
}

// Health is what /readyz answers: ready once at least one part of the program
// has reported, and while none is in error. /healthz only says that the process
// answers: a halted unit is not mended by a restart, so it must not fail there.
type Health struct {
	mu    sync.Mutex
	parts map[string]error
}

// Report sets the state of one part ("kafka", "archive"); nil is ready.
func (h *Health) Report(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parts == nil {
		h.parts = map[string]error{}
	}
	h.parts[part] = err
}

func (h *Health) state() (text []byte, ready bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.parts) == 0 {
		return []byte("starting\n"), false
	}
	var out bytes.Buffer
	ready = true
	for _, part := range slices.Sorted(maps.Keys(h.parts)) {
		if err := h.parts[part]; err != nil {
			ready = false
			fmt.Fprintf(&out, "%s: %v\n", part, err)
			continue
		}
		fmt.Fprintf(&out, "%s: ok\n", part)
	}
	return out.Bytes(), ready
}
