package real_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/internal/blob/blobtest"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// emulated is Azurite's account, seen from one address.
type emulated struct {
	account, key, endpoint string // http://host:port/account
	connection             string // of Azurite itself
}

// at is Azurite itself, or a proxy before it.
func at(t *testing.T, server string) emulated {
	t.Helper()
	e := emulatedBy(must(t, components.azurite))
	if server != "" {
		e.endpoint = server + "/" + e.account
	}
	return e
}

// emulatedBy is an Azurite by its connection string.
func emulatedBy(connection string) emulated {
	e := emulated{connection: connection}
	for part := range strings.SplitSeq(connection, ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "AccountName":
			e.account = value
		case "AccountKey":
			e.key = value
		case "BlobEndpoint":
			e.endpoint = value
		}
	}
	return e
}

// server is scheme, host and port.
func (e emulated) server() string { return strings.TrimSuffix(e.endpoint, "/"+e.account) }

var containers atomic.Int64

// newContainer makes an empty container, whatever the proxy does, and answers its name.
func newContainer(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("c-%d", containers.Add(1))
	at(t, "").create(t, name)
	return name
}

// create makes an empty container and answers its client, which shares nothing with the product's.
func (e emulated) create(t *testing.T, name string) *container.Client {
	t.Helper()
	credential, err := container.NewSharedKeyCredential(e.account, e.key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential(e.endpoint+"/"+name, credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return client
}

// store opens a prefix of a container, with the account's key.
func (e emulated) store(t *testing.T, name string, opts azure.Options) *azure.Store {
	t.Helper()
	location, err := azure.ParseLocation(e.endpoint + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !opts.ConnectionString.IsSet() && !opts.SAS.IsSet() {
		opts.AccountKey = config.NewSecret(e.key)
	}
	s, err := azure.New(location, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAzureConforms(t *testing.T) {
	onRequest(t)
	direct := at(t, "")
	for _, test := range []struct {
		name   string
		prefix string
		opts   func(container string) azure.Options
	}{
		{"key", "", func(string) azure.Options { return azure.Options{} }},
		{"key, below a prefix", "/an/archive", func(string) azure.Options { return azure.Options{} }},
		{"connection string", "", func(string) azure.Options {
			return azure.Options{ConnectionString: config.NewSecret(must(t, components.azurite))}
		}},
		{"signature", "/p", func(container string) azure.Options {
			return azure.Options{SAS: config.NewSecret(direct.signature(t, container, time.Hour))}
		}},
		{"small blocks", "", func(string) azure.Options { return azure.Options{BlockBytes: 64 << 10} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store {
				name := newContainer(t)
				return direct.store(t, name+test.prefix, test.opts(name))
			})
		})
	}
}

// signature is a SAS of the container.
func (e emulated) signature(t *testing.T, name string, life time.Duration) string {
	t.Helper()
	credential, err := container.NewSharedKeyCredential(e.account, e.key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential(e.endpoint+"/"+name, credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := client.GetSASURL(sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, Delete: true, List: true}, time.Now().Add(life), nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	return u.RawQuery
}

// TestSignatureIsRenewed: one that has expired is refused, and the next one in its file is taken up.
func TestSignatureIsRenewed(t *testing.T) {
	onRequest(t)
	e, name, file := at(t, ""), newContainer(t), filepath.Join(t.TempDir(), "sas")
	renew := func(life time.Duration) {
		t.Helper()
		if err := os.WriteFile(file, []byte(e.signature(t, name, life)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renew(2 * time.Second)
	cfg, err := config.Parse("almanac.yaml", []byte("archive: {sas: {file: "+file+"}}"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := e.store(t, name, azure.Options{SAS: cfg.Archive.SAS})
	put := func(name string) error {
		_, err := store.Put(t.Context(), name, strings.NewReader("x"), blob.IfAbsent())
		return err
	}
	if err := put("while it lasts"); err != nil {
		t.Fatal(err)
	}
	n, refused := 0, error(nil)
	err = harness.Until(within(t, 20*time.Second), "its end", func() (string, error) {
		n++
		if refused = put(fmt.Sprint("o", n)); refused == nil {
			return "it is taken", nil
		}
		return "", nil
	})
	if err != nil || !strings.Contains(refused.Error(), "403 ") {
		t.Fatalf("got %v, %v want a refusal", err, refused)
	}
	renew(time.Hour)
	if err := put("renewed"); err != nil {
		t.Error(err)
	}
}

// TestAzuriteOfAnotherMachine: an Azurite that is not known to be this machine's is asked by http, with a key, where a setting
// says so.
func TestAzuriteOfAnotherMachine(t *testing.T) {
	onRequest(t)
	e := at(t, "")
	e.endpoint = strings.Replace(e.endpoint, "127.0.0.1", "0.0.0.0", 1)
	store := e.store(t, newContainer(t), azure.Options{AllowHTTP: true})
	if _, err := store.Put(t.Context(), "o", strings.NewReader("x"), blob.IfAbsent()); err != nil || !store.Exposed() {
		t.Errorf("got %v, exposed %t want an object in a store that everybody can read", err, store.Exposed())
	}
}

// TestAzureConformsThoughAnswersAreLost runs the same suite over a network that loses requests and answers. What is left
// to the caller, a conditional put whose answer is not known, is settled as every caller has to: by reading back.
func TestAzureConformsThoughAnswersAreLost(t *testing.T) {
	onRequest(t)
	for _, block := range []int{0, 64 << 10} {
		t.Run(fmt.Sprintf("blocks of %d", block), func(t *testing.T) {
			p := newProxy(t, at(t, "").server())
			p.randomly(*seed, 0.03)
			blobtest.Run(t, func(t *testing.T) blob.Store {
				return settling{at(t, p.URL).store(t, newContainer(t), azure.Options{RetryDelay: 2 * time.Millisecond, BlockBytes: block})}
			})
			for fate := dropped; fate <= failedDone; fate++ {
				if p.met[fate] == 0 {
					t.Errorf("fate %d: got it never want it met", fate)
				}
			}
			t.Logf("requests by fate: %v", p.met)
		})
	}
}

// settling settles conditional puts whose answer is not known. Bytes are told apart by a random mark that no other writer
// has; it is taken off again by whoever reads.
type settling struct{ blob.Store }

const markBytes = 16

func (s settling) Put(ctx context.Context, name string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	mark := make([]byte, markBytes)
	for i := range mark {
		mark[i] = byte(rand.Uint32())
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return s.Store.Put(ctx, name, io.MultiReader(bytes.NewReader(mark), bytes.NewReader(data), broken{err}), cond)
	}
	mine := append(mark, data...)
	for attempt := 0; ; attempt++ {
		info, err := s.Store.Put(ctx, name, bytes.NewReader(mine), cond)
		info.Size -= markBytes
		version, versioned := cond.Version()
		if err == nil || attempt == 0 && errors.Is(err, blob.ErrCondition) || ctx.Err() != nil || blob.CheckName(name) != nil || versioned && version == "" {
			return info, err
		}
		stands, now, readErr := blob.ReadAll(ctx, s.Store, name, 1<<30)
		if readErr == nil && bytes.Equal(stands, mine) {
			now.Size -= markBytes
			return now, nil
		}
		switch {
		case errors.Is(err, blob.ErrCondition): // by another's, or by mine, which another has replaced
			return info, fmt.Errorf("%w: %w", err, blobtest.ErrUnsettled)
		case attempt == 20:
			return info, err
		}
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func (s settling) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, blob.Info, error) {
	if off >= 0 {
		off += markBytes
	}
	body, info, err := s.Store.Get(ctx, name, off, n)
	info.Size -= markBytes
	return body, info, err
}

func (s settling) List(ctx context.Context, prefix string, visit func(blob.Info) error) error {
	return s.Store.List(ctx, prefix, func(info blob.Info) error {
		info.Size -= markBytes
		return visit(info)
	})
}

// TestConditionalPutIsSentOnce loses the answer of exactly one request, for every way in which an object can appear.
func TestConditionalPutIsSentOnce(t *testing.T) {
	onRequest(t)
	p := newProxy(t, at(t, "").server())
	decides := func(r *http.Request) bool {
		return r.Method == http.MethodPut && r.URL.Query().Get("comp") != "block"
	}
	for _, way := range []fate{dropped, lost, busy, failedDone} {
		for _, size := range []int{10, 10_000} {
			for _, cond := range []string{"if absent", "if version"} {
				t.Run(fmt.Sprintf("fate %d, %d bytes, %s", way, size, cond), func(t *testing.T) {
					s := at(t, p.URL).store(t, newContainer(t), azure.Options{RetryDelay: time.Millisecond, BlockBytes: 4096})
					condition := blob.IfAbsent()
					if cond == "if version" {
						info, err := s.Put(t.Context(), "o", strings.NewReader("before"), blob.Always())
						if err != nil {
							t.Fatal(err)
						}
						condition = blob.IfVersion(info.Version)
					}
					p.on(func(r *http.Request) fate {
						if decides(r) {
							return way
						}
						return pass
					})
					data := strings.Repeat("x", size)
					_, err := s.Put(t.Context(), "o", strings.NewReader(data), condition)
					if err == nil || errors.Is(err, blob.ErrCondition) {
						t.Errorf("got %v want an error that is not %v", err, blob.ErrCondition)
					}
					if n := p.requests(decides); n != 1 {
						t.Errorf("got %d deciding requests want 1", n)
					}
					p.on(nil)
					stands, _, err := blob.ReadAll(t.Context(), s, "o", 1<<20)
					landed := err == nil && string(stands) == data
					if want := way == lost || way == failedDone; landed != want {
						t.Errorf("got landed %v (%v) want %v", landed, err, want)
					}
					_, err = s.Put(t.Context(), "o", strings.NewReader(data), condition)
					if got := errors.Is(err, blob.ErrCondition); got != landed {
						t.Errorf("the same again: got %v want %v only if it had landed", err, blob.ErrCondition)
					}
				})
			}
		}
	}
}

// TestLargeObjectsOfManyWriters races block lists: whoever names blocks of an object discards everybody else's.
func TestLargeObjectsOfManyWriters(t *testing.T) {
	onRequest(t)
	s := at(t, "").store(t, newContainer(t), azure.Options{BlockBytes: 1000})
	const writers = 12
	for round := range 5 {
		name := fmt.Sprintf("large/%d", round)
		results := make(chan error, writers)
		for i := range writers {
			go func() {
				_, err := s.Put(context.Background(), name, strings.NewReader(strings.Repeat(string(rune('a'+i)), 20_500)), blob.IfAbsent())
				results <- err
			}()
		}
		won := 0
		for range writers {
			err := <-results
			switch {
			case err == nil:
				won++
			case !errors.Is(err, blob.ErrCondition):
				t.Errorf("got %v want %v", err, blob.ErrCondition)
			}
		}
		data, info, err := blob.ReadAll(t.Context(), s, name, 1<<20)
		if won != 1 || err != nil || info.Size != 20_500 || strings.Trim(string(data), string(data[:1])) != "" {
			t.Errorf("got %d winners, %d bytes of more than one writer, or %v want one whole object", won, info.Size, err)
		}
	}
}

func TestAzureErrorsNameAndAdvise(t *testing.T) {
	onRequest(t)
	direct := at(t, "")
	name := newContainer(t)
	for _, test := range []struct {
		name string
		s    *azure.Store
		want []string
	}{
		{"container missing", direct.store(t, "missing/p", azure.Options{}), []string{"account devstoreaccount1", "container missing", "404 ContainerNotFound", "create it (az storage container create"}},
		{"wrong key", emulated{account: direct.account, key: "d3Jvbmc=", endpoint: direct.endpoint}.store(t, name, azure.Options{}), []string{"container " + name, "403", "key or signature belong to this account"}},
		{"signature without rights", direct.store(t, name, azure.Options{SAS: config.NewSecret("sv=2020-08-04&sr=c&sig=bm8%3D")}), []string{"403", "container " + name}},
		{"nobody listens", emulated{account: direct.account, key: direct.key, endpoint: "http://127.0.0.1:1/" + direct.account}.store(t, name, azure.Options{RetryDelay: time.Millisecond}), []string{"the endpoint does not answer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, putErr := test.s.Put(t.Context(), "o", strings.NewReader("x"), blob.IfAbsent())
			_, _, getErr := test.s.Get(t.Context(), "o", 0, -1)
			listErr := test.s.List(t.Context(), "", func(blob.Info) error { return nil })
			for op, err := range map[string]error{"put": putErr, "get": getErr, "list": listErr, "delete": test.s.Delete(t.Context(), "o")} {
				if err == nil {
					t.Errorf("%s: got no error", op)
					continue
				}
				for _, want := range test.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: got %q want %q in it", op, err, want)
					}
				}
				if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCondition) || strings.Contains(err.Error(), "sig=") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: got %q want one line, no secret, and neither of the two answers that are none", op, err)
				}
			}
		})
	}
}
