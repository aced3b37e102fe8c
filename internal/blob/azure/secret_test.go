package azure

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
)

// kept is a secret in a file, as almanac.yaml names one.
type kept struct {
	t    *testing.T
	path string
}

func keep(t *testing.T, text string) *kept {
	k := &kept{t, filepath.Join(t.TempDir(), "secret")}
	k.replace(text)
	return k
}

func (k *kept) replace(text string) {
	k.t.Helper()
	if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) secret() config.Secret {
	k.t.Helper()
	cfg, err := config.Parse("almanac.yaml", []byte("archive: {sas: {file: "+k.path+"}}"), nil, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return cfg.Archive.SAS
}

// TestSecretIsReadAgain: whoever keeps the file fresh need not restart anybody, and the request that was refused is done. One
// with a condition is decided once.
func TestSecretIsReadAgain(t *testing.T) {
	key := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, test := range []struct {
		name          string
		first, second string
		opts          func(config.Secret) Options
	}{
		{"signature", "?sv=1&sig=first", "sv=1&sig=second", func(s config.Secret) Options { return Options{SAS: s} }},
		{
			"signature in a connection string", "SharedAccessSignature=sv=1&sig=first", "SharedAccessSignature=sv=1&sig=second",
			func(s config.Secret) Options { return Options{ConnectionString: s} },
		},
		{"key", key("first"), key("second"), func(s config.Secret) Options { return Options{AccountKey: s} }},
		{
			"key in a connection string", "AccountKey=" + key("first"), "AccountKey=" + key("second"),
			func(s config.Secret) Options { return Options{ConnectionString: s} },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, refusals := keep(t, test.first), 0
			var proofs, bodies []string
			s := &service{Server: httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				proofs = append(proofs, r.Header.Get("X-Ms-Date")+" "+r.Header.Get("Authorization")+fmt.Sprint(r.URL.Query()["sig"]))
				sent, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				bodies = append(bodies, string(sent))
				if refusals < 2 {
					refusals++
					refuse(w)
					return
				}
				for key, value := range written() {
					w.Header().Set(key, value)
				}
				w.WriteHeader(http.StatusCreated)
			}))}
			t.Cleanup(s.Close)
			opts := test.opts(file.secret())
			opts.Transport = s.Client()
			if opts.ConnectionString.IsSet() {
				endpoint := ";BlobEndpoint=" + s.URL + "/account"
				file.replace(test.first + endpoint)
				test.second += endpoint
			}
			store := s.store(t, opts)
			put := func(name string) error {
				_, err := store.Put(t.Context(), name, strings.NewReader("body of "+name), blob.IfAbsent())
				return err
			}
			if err := put("a"); err == nil || len(proofs) != 1 {
				t.Errorf("got %v after %d requests want one that is refused", err, len(proofs))
			}
			file.replace(test.second)
			for _, name := range []string{"b", "c"} {
				if err := put(name); err != nil {
					t.Error(err)
				}
			}
			if len(proofs) != 4 || proofs[1] == proofs[2] {
				t.Fatalf("got requests %q want b sent twice, by another secret the second time, and c once", proofs)
			}
			if strings.HasPrefix(test.name, "signature") && (!strings.HasSuffix(proofs[2], "[second]") || !strings.HasSuffix(proofs[3], "[second]")) {
				t.Errorf("got requests %q want one signature on each, the second", proofs[2:])
			}
			if !slices.Equal(bodies, []string{"body of a", "body of b", "body of b", "body of c"}) {
				t.Errorf("got bodies %q want each whole", bodies)
			}
			other := "AccountKey=" + key("third")
			if strings.HasPrefix(test.name, "key") {
				other = "SharedAccessSignature=sv=1"
			}
			for _, spoiled := range []string{"", "sv=1\nsig=x", "no secret", other} { // what is being written, or was written wrongly, or is another kind
				file.replace(spoiled)
				refusals, proofs = 1, nil
				if err := put("d"); err == nil || len(proofs) != 1 {
					t.Errorf("after %q: got %v after %d requests want one that is refused", spoiled, err, len(proofs))
				}
				if err := put("d"); err != nil {
					t.Errorf("after %q: %v", spoiled, err)
				}
			}
		})
	}
}

func refuse(w http.ResponseWriter) {
	w.Header().Set("x-ms-error-code", "AuthenticationFailed")
	w.WriteHeader(http.StatusForbidden)
}

// TestBodyIsSentWholeAgain: the service refuses before it has read the body, which the transport may still be sending then.
func TestBodyIsSentWholeAgain(t *testing.T) {
	file := keep(t, "sv=1&sig=0")
	var right atomic.Value
	right.Store("0")
	body := make([]byte, 6<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(body) // never errs
	s := &service{Server: httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sig") != right.Load() {
			refuse(w)
			return
		}
		sent, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(sent, body) {
			t.Errorf("got %d bytes, %v want the body whole", len(sent), err)
		}
		for key, value := range written() {
			w.Header().Set(key, value)
		}
		w.WriteHeader(http.StatusCreated)
	}))}
	t.Cleanup(s.Close)
	store := s.store(t, Options{SAS: file.secret(), Transport: s.Client()})
	for i := range 10 {
		signature := strconv.Itoa(i + 1)
		file.replace("sv=1&sig=" + signature)
		right.Store(signature)
		if _, err := store.Put(t.Context(), "a", bytes.NewReader(body), blob.IfAbsent()); err != nil {
			t.Errorf("put %d: %v", i, err)
		}
	}
}
