package cosmosfake

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// gateway says how a path becomes names.
type gateway int

const (
	// routing is the gateway of an account's usual endpoint. It decodes a path as a whole, twice, takes \ for /, and
	// cuts what stands behind # and blanks at the end. An item whose id does not survive that can be created, queried
	// and fed, and cannot be named in a path: the signature, made over the plain id, does not fit
	// (azcosmos, emulator_cosmos_item_test.go, TestItemIdEncodingRoutingGW).
	routing gateway = iota
	// compute is a dedicated gateway: each segment is what was escaped (TestItemIdEncodingComputeGW).
	compute
)

type gatewayKey struct{}

func gatewayOf(r *http.Request) gateway {
	g, _ := r.Context().Value(gatewayKey{}).(gateway)
	return g
}

// baseContext tells requests by which gateway they came.
func (s *Server) baseContext(l net.Listener) context.Context {
	g := routing
	if s.compute != nil && l.Addr().String() == s.compute.Addr().String() {
		g = compute
	}
	return context.WithValue(s.inRegion(context.Background(), l), gatewayKey{}, g)
}

func (g gateway) segments(escaped string) ([]string, *Error) {
	if strings.Trim(escaped, "/") == "" {
		return nil, nil
	}
	if g == routing {
		plain, err := url.PathUnescape(escaped)
		if err != nil || strings.IndexFunc(plain, isControl) >= 0 {
			return nil, badRequest("Bad Request - Invalid URL: %q.", escaped)
		}
		if again, err := url.PathUnescape(plain); err == nil {
			plain = again
		}
		plain, _, _ = strings.Cut(plain, "#")
		plain = strings.TrimRight(strings.ReplaceAll(plain, `\`, "/"), " ")
		return strings.Split(strings.Trim(plain, "/"), "/"), nil
	}
	segments := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return nil, badRequest("The path %q is not escaped as a URL.", escaped)
		}
		segments[i] = plain
	}
	return segments, nil
}

func isControl(r rune) bool { return r < ' ' }
