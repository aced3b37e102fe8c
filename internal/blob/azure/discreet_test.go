package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
)

// operations are everything that a store sends.
func operations(ctx context.Context, s *Store) map[string]error {
	failed := map[string]error{}
	_, _, failed["get"] = s.Get(ctx, "o", 0, -1)
	_, _, failed["stat"] = s.Get(ctx, "o", 0, 0)
	_, failed["put"] = s.Put(ctx, "o", strings.NewReader("x"), blob.Always())
	_, failed["put if absent"] = s.Put(ctx, "o", strings.NewReader("x"), blob.IfAbsent())
	_, failed["put blocks"] = s.Put(ctx, "o", io.LimitReader(zeros{}, 64), blob.IfVersion("0x1"))
	failed["list"] = s.List(ctx, "o", func(blob.Info) error { return nil })
	failed["delete"] = s.Delete(ctx, "o")
	return failed
}

// TestErrorsHideTheSignature: whatever fails, and however the signature was given, no error shows it.
func TestErrorsHideTheSignature(t *testing.T) {
	const sas = "sv=2025-01-05&se=2027-01-01&sp=racwdl&sig=s3cr3t%3D"
	lost := http.DefaultTransport.(*http.Transport).Clone()
	lost.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "sky.blob.core.windows.net", IsNotFound: true}}
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	refusing := newService(t, httptest.NewServer, func(r *http.Request) (int, map[string]string, string) {
		return 403, code("AuthenticationFailed"), "<Error><Code>AuthenticationFailed</Code><Detail>" + r.URL.String() + "</Detail></Error>"
	})
	broken := newService(t, httptest.NewServer, func(*http.Request) (int, map[string]string, string) { return 0, nil, "" })
	for _, test := range []struct {
		name, endpoint, at, want string
		transport                *http.Client
	}{
		{"unknown host", "https://sky.blob.core.windows.net", "az://sky/archive", "host sky.blob.core.windows.net is not known", &http.Client{Transport: lost}},
		{"refused connection", closed.URL + "/sky", closed.URL + "/sky/archive", "connection refused", nil},
		{"refused by the service", refusing.URL + "/sky", refusing.URL + "/sky/archive", "403 AuthenticationFailed", nil},
		{"broken connection", broken.URL + "/sky", broken.URL + "/sky/archive", "EOF", nil},
	} {
		for given, opts := range map[string]Options{
			"sas":               {SAS: config.NewSecret(sas)},
			"connection string": {ConnectionString: config.NewSecret("BlobEndpoint=" + test.endpoint + "/;SharedAccessSignature=" + sas)},
		} {
			t.Run(test.name+", "+given, func(t *testing.T) {
				at, err := ParseLocation(test.at)
				if err != nil {
					t.Fatal(err)
				}
				opts.RetryDelay, opts.BlockBytes = time.Millisecond, 16
				if test.transport != nil {
					opts.Transport = test.transport
				}
				store, err := New(at, opts)
				if err != nil {
					t.Fatal(err)
				}
				for operation, err := range operations(t.Context(), store) {
					if err == nil || !strings.Contains(err.Error(), test.want) {
						t.Errorf("%s: got %v want %q", operation, err, test.want)
					}
					hides(t, err)
				}
			})
		}
	}
}

// TestErrorsAdviseOnConnections: where nothing was answered, the remedy stands by itself, for `check` to print.
func TestErrorsAdviseOnConnections(t *testing.T) {
	untrusted := newService(t, httptest.NewTLSServer, func(*http.Request) (int, map[string]string, string) { return 201, written(), "" })
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, test := range []struct {
		name, at, want string
		lasting        bool
	}{
		{"certificate of an unknown authority", untrusted.URL + "/sky/archive", "SSL_CERT_FILE", true},
		{"refused connection", closed.URL + "/sky/archive", "the endpoint does not answer", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := ParseLocation(test.at)
			if err != nil {
				t.Fatal(err)
			}
			store, err := New(at, Options{SAS: config.NewSecret("sig=x"), RetryDelay: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			err = store.Delete(t.Context(), "o")
			var adviser interface{ Advice() (what, remedy string) }
			if !errors.As(err, &adviser) {
				t.Fatalf("got %v want advice in it", err)
			}
			if what, remedy := adviser.Advice(); !strings.Contains(remedy, test.want) || !strings.Contains(what, "account sky, container archive") {
				t.Errorf("got %q -> %q want %q", what, remedy, test.want)
			}
			var refused interface{ Lasting() bool }
			if lasting := errors.As(err, &refused) && refused.Lasting(); lasting != test.lasting {
				t.Errorf("got %v, lasting: %v want %v", err, lasting, test.lasting)
			}
		})
	}
}

// hides looks at the error, and at every error within it as a log may show it.
func hides(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, "sig=") || strings.Contains(text, "s3cr3t") {
			t.Errorf("got %s want no signature", text)
		}
	}
}

// TestWhatIsNoAddressHidesTheSignature: what cannot become a request is refused before anything could name it.
func TestWhatIsNoAddressHidesTheSignature(t *testing.T) {
	for name, opts := range map[string]Options{
		"signature of two lines":           {SAS: config.NewSecret("sv=1&sig=s3cr3t\n&se=2")},
		"signature in the endpoint":        {ConnectionString: config.NewSecret("AccountKey=a2V5;BlobEndpoint=https://sky.blob.core.windows.net/?sig=s3cr3t")},
		"endpoint that is none":            {ConnectionString: config.NewSecret("BlobEndpoint=https://sky\x7f/;SharedAccessSignature=sv=1&sig=s3cr3t")},
		"endpoint without a scheme":        {ConnectionString: config.NewSecret("BlobEndpoint=sky.blob.core.windows.net;SharedAccessSignature=sv=1&sig=s3cr3t")},
		"user and password in an endpoint": {ConnectionString: config.NewSecret("AccountKey=a2V5;BlobEndpoint=https://u:s3cr3t@sky.blob.core.windows.net/")},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := ParseLocation("az://sky/archive")
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(at, opts)
			var mistake *LocationError
			if !errors.As(err, &mistake) {
				t.Errorf("got %v want a mistake in the configuration", err)
			}
			hides(t, err)
		})
	}
}
