package cosmosfake_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// trusting is a client that trusts what it is given, and takes the server for host.
func trusting(t *testing.T, authority []byte, host string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatalf("no certificate in %s", authority)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func reach(t *testing.T, client *http.Client, s *cosmosfake.Server) error {
	t.Helper()
	res, err := client.Do(rest{t, s}.request("GET", "/", ""))
	if err != nil {
		return err
	}
	if res.StatusCode != 200 {
		t.Errorf("got %s", res.Status)
	}
	return res.Body.Close()
}

// TestAuthorityIsKept: who trusted a server with a data directory trusts the next one in it, also when it is reached by
// another name.
func TestAuthorityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := cosmosfake.New(cosmosfake.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	authority := first.CAPEM()
	if err := reach(t, trusting(t, authority, ""), first); err != nil {
		t.Error(err)
	}
	if err := reach(t, trusting(t, authority, "emulator"), first); err == nil {
		t.Error("got no error for a name that the certificate does not have")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := cosmosfake.New(cosmosfake.Options{Dir: dir, Hosts: []string{"emulator", "10.1.2.3"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"", "localhost", "127.0.0.1", "emulator", "10.1.2.3"} {
		if err := reach(t, trusting(t, authority, host), second); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "authority.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file for its owner only", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "authority.pem"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := cosmosfake.New(cosmosfake.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "authority.pem is damaged; remove it") {
		t.Errorf("got %v, want what to do", err)
		if err == nil {
			_ = s.Close()
		}
	}
	other := startServer(t, cosmosfake.Options{})
	if err := reach(t, trusting(t, authority, ""), other); err == nil {
		t.Error("got no error for the authority of another server")
	}
}

// TestGivenCertificate serves with a certificate of somebody else's.
func TestGivenCertificate(t *testing.T) {
	dir := t.TempDir()
	certificate, key := makeCertificate(t, "emulator.example")
	for name, text := range map[string][]byte{"c.pem": certificate, "k.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	given, err := tls.LoadX509KeyPair(filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, cosmosfake.Options{TLS: &given})
	if !bytes.Equal(s.CAPEM(), certificate) {
		t.Errorf("got %s, want %s", s.CAPEM(), certificate)
	}
	if err := reach(t, trusting(t, certificate, "emulator.example"), s); err != nil {
		t.Error(err)
	}
	if err := reach(t, s.Client(), s); err != nil {
		t.Errorf("its own client: %v", err)
	}
	// The same by the program's files.
	ctx, stop := context.WithCancel(context.Background())
	out := notify{make(chan string, 1)}
	ended := make(chan error, 1)
	o := cosmosfake.RunOptions{Addr: "127.0.0.1:0", TLSCert: filepath.Join(dir, "c.pem"), TLSKey: filepath.Join(dir, "k.pem"), Certificate: filepath.Join(dir, "trust.pem")}
	go func() { ended <- cosmosfake.Run(ctx, o, out) }()
	select {
	case <-out.line:
	case err := <-ended:
		t.Fatal(err)
	}
	if trust, err := os.ReadFile(o.Certificate); err != nil || !bytes.Equal(trust, certificate) {
		t.Errorf("got %s, %v, want the certificate", trust, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s, err := cosmosfake.New(cosmosfake.Options{TLS: &tls.Certificate{}}); err == nil {
		t.Error("got no error for an empty certificate")
		_ = s.Close()
	}
}

// TestPlainHTTP: who forgot the s of https is told so.
func TestPlainHTTP(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	address := strings.Replace(s.URL(), "https:", "http:", 1)
	for name, body := range map[string]io.Reader{"GET": nil, "POST": strings.NewReader(strings.Repeat("x", 200<<10))} {
		req, err := http.NewRequest(name, address+"dbs", body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if want := fmt.Sprintf("begins with https://, as in %s", s.URL()); err != nil || res.StatusCode != 400 || !strings.Contains(string(text), want) {
			t.Errorf("%s: got %d %s, %v, want 400 with %q", name, res.StatusCode, text, err, want)
		}
	}
	if err := reach(t, s.Client(), s); err != nil {
		t.Error(err)
	}
}

// TestLargeBodies: a client that reads no answer before it has sent all gets one.
func TestLargeBodies(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for _, size := range []int{2<<20 + 1, 5 << 20, 30 << 20} {
		document := `{"id":"1","pk":"a","text":"` + strings.Repeat("x", size) + `"}`
		if got := c.do("POST", docs, document, pkH, `["a"]`); got.status != 413 {
			t.Errorf("%d bytes: got %d %s, want 413", size, got.status, got.body)
		}
		if got := c.do("POST", docs, document, pkH, `["a"]`, "Authorization", "type%3dmaster%26ver%3d1.0%26sig%3dAAAA"); got.status != 401 {
			t.Errorf("%d bytes, wrongly signed: got %d, want 401", size, got.status)
		}
	}
}

// TestQueryWithoutHeader: a query that is taken for an item is refused with what it lacks.
func TestQueryWithoutHeader(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for name, headers := range map[string][]string{"without a key": nil, "with a key": {pkH, `["a"]`}} {
		got := c.do("POST", docs, queryOf("SELECT * FROM c"), append(headers, "Content-Type", "application/json")...)
		if got.status != 400 || !strings.Contains(string(got.body), "needs the headers x-ms-documentdb-isquery: True and Content-Type: application/query+json") {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	if got := c.do("POST", docs, `{"pk":"a"}`, pkH, `["a"]`); got.status != 400 || strings.Contains(string(got.body), "isquery") {
		t.Errorf("got %d %s, want no word of queries", got.status, got.body)
	}
}

// TestDamagedFolder says what to do.
func TestDamagedFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := cosmosfake.New(cosmosfake.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rest{t, s}.makeOrders(1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	journals, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(journals) != 1 {
		t.Fatal(journals, err)
	}
	if err := os.WriteFile(journals[0], []byte(`{"time":"noon"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = cosmosfake.New(cosmosfake.Options{Dir: dir})
	if err == nil {
		_ = s.Close()
		t.Fatal("got no error")
	}
	for _, want := range []string{filepath.Base(journals[0]) + ", line 1", "want a number", "put it back from a copy, or move it away"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	}
}

// makeCertificate is a self-signed certificate of the host, and its key.
func makeCertificate(t *testing.T, host string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}
