package azure

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
)

// service answers as a script says; what it was asked it keeps. tests/real holds the store against Azurite, this is for
// what Azurite never answers.
type service struct {
	*httptest.Server

	mu     sync.Mutex
	answer func(r *http.Request) (status int, header map[string]string, body string)
	asked  []*http.Request
}

func newService(t *testing.T, start func(http.Handler) *httptest.Server, answer func(r *http.Request) (int, map[string]string, string)) *service {
	t.Helper()
	s := &service{answer: answer}
	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		s.mu.Lock()
		s.asked = append(s.asked, r)
		status, header, body := s.answer(r)
		s.mu.Unlock()
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		for key, value := range header {
			w.Header().Set(key, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) store(t *testing.T, opts Options) *Store {
	t.Helper()
	at, err := ParseLocation(s.URL + "/account/container/prefix")
	if err != nil {
		t.Fatal(err)
	}
	if opts.Credential == nil && !opts.SAS.IsSet() && !opts.AccountKey.IsSet() && !opts.ConnectionString.IsSet() {
		opts.AccountKey = config.NewSecret(base64.StdEncoding.EncodeToString([]byte("key")))
	}
	opts.RetryDelay = time.Millisecond
	store, err := New(at, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (s *service) count(match func(*http.Request) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.asked {
		if match(r) {
			n++
		}
	}
	return n
}

func written() map[string]string {
	return map[string]string{"ETag": `"0x1"`, "Last-Modified": "Fri, 20 Nov 2026 10:15:00 GMT", "Date": "Fri, 20 Nov 2026 10:15:01 GMT"}
}

func code(code string) map[string]string { return map[string]string{"x-ms-error-code": code} }

func TestConditionsAreSentAndRefusalsToldApart(t *testing.T) {
	for _, test := range []struct {
		name      string
		cond      blob.Condition
		status    int
		code      string
		match     string // the header that carries the condition
		value     string
		condition bool // ErrCondition
	}{
		{"absent", blob.IfAbsent(), 409, "BlobAlreadyExists", "If-None-Match", "*", true},
		{"absent, by precondition", blob.IfAbsent(), 412, "ConditionNotMet", "If-None-Match", "*", true},
		{"version", blob.IfVersion("0x1"), 412, "ConditionNotMet", "If-Match", `"0x1"`, true},
		{"version of nothing", blob.IfVersion("0x1"), 404, "BlobNotFound", "If-Match", `"0x1"`, true},
		{"lease is no condition", blob.IfVersion("0x1"), 412, "LeaseIdMissing", "If-Match", `"0x1"`, false},
		{"container is no object", blob.IfVersion("0x1"), 404, "ContainerNotFound", "If-Match", `"0x1"`, false},
		{"409 of another kind", blob.IfAbsent(), 409, "ContainerBeingDeleted", "If-None-Match", "*", false},
		{"409 of a proxy", blob.IfAbsent(), 409, "", "If-None-Match", "*", false},
		{"no condition was asked for", blob.Always(), 409, "BlobAlreadyExists", "If-Match", "", false},
		{"busy", blob.IfAbsent(), 503, "ServerBusy", "If-None-Match", "*", false},
		{"broken connection", blob.IfAbsent(), 0, "", "If-None-Match", "*", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t, httptest.NewServer, func(r *http.Request) (int, map[string]string, string) {
				if got := r.Header.Get(test.match); got != test.value {
					t.Errorf("%s: got %q want %q", test.match, got, test.value)
				}
				return test.status, code(test.code), ""
			})
			_, err := s.store(t, Options{}).Put(t.Context(), "o", strings.NewReader("x"), test.cond)
			if err == nil || errors.Is(err, blob.ErrCondition) != test.condition {
				t.Errorf("got %v want %v: %v", err, blob.ErrCondition, test.condition)
			}
			if n := s.count(func(*http.Request) bool { return true }); n != 1 {
				t.Errorf("got %d requests want 1", n)
			}
		})
	}
}

// TestRefusalOfBlocks: whoever names blocks of an object discards everybody else's, and an immutability policy refuses
// before the condition is looked at; what stands there tells whether the condition failed.
func TestRefusalOfBlocks(t *testing.T) {
	for _, test := range []struct {
		name, code string
		cond       blob.Condition
		stat       int
		condition  bool
	}{
		{"somebody was first", "InvalidBlockList", blob.IfAbsent(), 200, true},
		{"nobody was", "InvalidBlockList", blob.IfAbsent(), 404, false},
		{"nobody knows", "InvalidBlockList", blob.IfAbsent(), 403, false},
		{"replaced", "InvalidBlockList", blob.IfVersion("0x0"), 200, true},
		{"not replaced", "InvalidBlockList", blob.IfVersion("0x1"), 200, false},
		{"removed", "InvalidBlockList", blob.IfVersion("0x1"), 404, true},
		{"kept by a policy", "BlobImmutableDueToPolicy", blob.IfAbsent(), 200, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t, httptest.NewServer, func(r *http.Request) (int, map[string]string, string) {
				switch {
				case r.URL.Query().Get("comp") == "block":
					return 201, written(), ""
				case r.Method == http.MethodHead && test.stat == 404:
					return 404, code("BlobNotFound"), ""
				case r.Method == http.MethodHead:
					header := written()
					header["Content-Length"] = "3"
					return test.stat, header, ""
				}
				return 409, code(test.code), ""
			})
			_, err := s.store(t, Options{BlockBytes: 10}).Put(t.Context(), "o", strings.NewReader(strings.Repeat("x", 25)), test.cond)
			if err == nil || errors.Is(err, blob.ErrCondition) != test.condition {
				t.Errorf("got %v want %v: %v", err, blob.ErrCondition, test.condition)
			}
		})
	}
}

// TestBlocks: blocks are tried again, the list that names them is not; a body that breaks is never named.
func TestBlocks(t *testing.T) {
	isBlock := func(r *http.Request) bool { return r.URL.Query().Get("comp") == "block" }
	isList := func(r *http.Request) bool { return r.URL.Query().Get("comp") == "blocklist" }
	var mu sync.Mutex
	tries := map[string]int{}
	s := newService(t, httptest.NewServer, func(r *http.Request) (int, map[string]string, string) {
		mu.Lock()
		defer mu.Unlock()
		id := r.URL.Query().Get("blockid")
		if tries[id]++; isBlock(r) && tries[id] == 1 {
			return 503, code("ServerBusy"), ""
		}
		return 201, written(), ""
	})
	store := s.store(t, Options{BlockBytes: 10})
	info, err := store.Put(t.Context(), "o", iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 95))), blob.IfAbsent())
	if err != nil || info.Size != 95 || info.Version != "0x1" || !info.Now.After(info.Modified) {
		t.Errorf("got %+v, %v want 95 bytes in version 0x1", info, err)
	}
	if blocks, lists := s.count(isBlock), s.count(isList); blocks != 20 || lists != 1 {
		t.Errorf("got %d requests of blocks, %d of lists want 10 blocks twice and one list", blocks, lists)
	}
	broke := errors.New("the body broke")
	_, err = store.Put(t.Context(), "o", io.MultiReader(strings.NewReader(strings.Repeat("x", 35)), iotest.ErrReader(broke)), blob.IfAbsent())
	if lists := s.count(isList); !errors.Is(err, broke) || lists != 1 {
		t.Errorf("got %v and %d lists want %v and no list more", err, lists, broke)
	}
}

// TestShortBody: fewer bytes than were promised are an error, also where the connection ends in order.
func TestShortBody(t *testing.T) {
	s := newService(t, httptest.NewServer, func(r *http.Request) (int, map[string]string, string) {
		header := written()
		header["Content-Range"] = "bytes 0-1999999/2000000"
		return 206, header, strings.Repeat("x", 1000) // chunked, so nothing but the range tells the length
	})
	body, info, err := s.store(t, Options{}).Get(t.Context(), "o", 0, 2_000_000)
	if err != nil || info.Size != 2_000_000 {
		t.Fatalf("got %+v, %v want 2000000 bytes", info, err)
	}
	data, err := io.ReadAll(body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %d bytes and %v want %v", len(data), err, io.ErrUnexpectedEOF)
	}
}

func TestListsOfHierarchicalNamespaces(t *testing.T) {
	entry := func(name, kind, metadata string) string {
		return fmt.Sprintf(`<Blob><Name>prefix/%s</Name><Properties><Last-Modified>Fri, 20 Nov 2026 10:15:00 GMT</Last-Modified><Etag>0x1</Etag>`+
			`<Content-Length>3</Content-Length>%s</Properties>%s</Blob>`, name, kind, metadata)
	}
	for _, test := range []struct {
		name    string
		entries []string
		want    string
		err     string
	}{
		{"folders are no objects", []string{
			entry("a", "<ResourceType>directory</ResourceType>", ""), entry("a/x", "<ResourceType>file</ResourceType>", ""),
			entry("b", "", "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>"), entry("b/x", "", "<Metadata><other>true</other></Metadata>"),
		}, "a/x b/x", ""},
		{"another order than bytes'", []string{entry("a/x", "", ""), entry("a-b", "", "")}, "a/x", "lists a-b after a/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t, httptest.NewServer, func(*http.Request) (int, map[string]string, string) {
				return 200, map[string]string{"Content-Type": "application/xml", "Date": "Fri, 20 Nov 2026 10:15:01 GMT"},
					`<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>` + strings.Join(test.entries, "") + `</Blobs><NextMarker /></EnumerationResults>`
			})
			var got []string
			err := s.store(t, Options{}).List(t.Context(), "", func(info blob.Info) error {
				got = append(got, info.Name)
				return nil
			})
			if strings.Join(got, " ") != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %q, %v want %q, %q", got, err, test.want, test.err)
			}
		})
	}
}

// token is a credential of Entra ID that needs no directory.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t0ken", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestCredentials(t *testing.T) {
	for _, test := range []struct {
		name string
		opts Options
		want func(r *http.Request) bool
	}{
		{"Entra ID", Options{Credential: token{}}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer t0ken" }},
		{"key", Options{}, func(r *http.Request) bool {
			return strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey account:")
		}},
		{"signature", Options{SAS: config.NewSecret("?sv=1&sig=abc")}, func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" && r.URL.Query().Get("sig") == "abc"
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t, httptest.NewTLSServer, func(r *http.Request) (int, map[string]string, string) {
				if !test.want(r) {
					t.Errorf("got %v %s want another proof", r.Header, r.URL)
				}
				return 201, written(), ""
			})
			test.opts.Transport = s.Client()
			store := s.store(t, test.opts)
			if _, err := store.Put(t.Context(), "o", strings.NewReader("x"), blob.IfAbsent()); err != nil {
				t.Error(err)
			}
			if strings.Contains(store.Location().String(), "sig") {
				t.Errorf("got %s want no secret", store.Location())
			}
		})
	}
}

// nobody is a credential where there is none.
type nobody struct{}

func (nobody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, azidentity.NewCredentialUnavailableError("failed to acquire a token.\nAttempted credentials:\n\tx: y")
}

// TestWithoutCredential: one line names the account and what to do, and nothing is asked of the service or tried again.
func TestWithoutCredential(t *testing.T) {
	s := newService(t, httptest.NewTLSServer, func(r *http.Request) (int, map[string]string, string) {
		t.Errorf("got %s %s want no request", r.Method, r.URL)
		return 201, written(), ""
	})
	err := s.store(t, Options{Credential: nobody{}, Transport: s.Client()}).Delete(t.Context(), "o")
	if err == nil || strings.ContainsAny(err.Error(), "\n\t") {
		t.Fatalf("got %v want an error of one line", err)
	}
	for _, want := range []string{
		"no credential of Entra ID was found for storage account account: sign in with `az login`",
		"archive.account_key, archive.sas or archive.connection_string",
	} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("got %v want %q in it, once", err, want)
		}
	}
}

// TestContainerIsToBeCreated: the command fits what the store is reached by, and shows no secret.
func TestContainerIsToBeCreated(t *testing.T) {
	sas, key := config.NewSecret("sig=s3cr3t"), config.NewSecret("a2V5")
	for _, test := range []struct {
		name, root string
		opts       Options
		want       string
	}{
		{"entra", "az://sky/archive", Options{Credential: nobody{}}, "--account-name sky --name archive)"},
		{"key", "https://sky.blob.core.chinacloudapi.cn/archive", Options{AccountKey: key}, "--account-name sky --name archive)"},
		{
			"key of an emulator", "http://127.0.0.1:10000/devstoreaccount1/archive",
			Options{AccountKey: key},
			"--blob-endpoint http://127.0.0.1:10000/devstoreaccount1 --account-name devstoreaccount1 --account-key … --name archive)",
		},
		{
			"signature of an emulator", "http://127.0.0.1:10000/devstoreaccount1/archive",
			Options{SAS: sas},
			"--blob-endpoint http://127.0.0.1:10000/devstoreaccount1 --sas-token … --name archive)",
		},
		{
			"connection string", "az://sky/archive",
			Options{ConnectionString: config.NewSecret("BlobEndpoint=https://sky.example/;AccountKey=a2V5;AccountName=sky")},
			"--connection-string … --name archive)",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := ParseLocation(test.root)
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(at, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			missing := &azcore.ResponseError{StatusCode: 404, ErrorCode: string(bloberror.ContainerNotFound)}
			got := s.explain("put", "o", missing).Error()
			if want := "create it (az storage container create " + test.want; !strings.Contains(got, want) || strings.Contains(got, "s3cr3t") {
				t.Errorf("got %s want %q in it", got, want)
			}
		})
	}
}

func TestErrorsAdvise(t *testing.T) {
	for _, test := range []struct {
		status     int
		code, want string
		lasting    bool
	}{
		{404, "ContainerNotFound", "account account, container container: 404 ContainerNotFound (request r1): the container does not exist: create it", true},
		{403, "AuthorizationFailure", "allow its address or network in the account's firewall", true},
		{403, "AuthorizationPermissionMismatch", "Storage Blob Data Contributor", true},
		{403, "AuthenticationFailed", "this machine's clock is right", true},
		{403, "KeyBasedAuthenticationNotPermitted", "use Entra ID", true},
		{401, "NoAuthenticationInformation", "the key, signature or token is not accepted", true},
		{403, "InsufficientAccountPermissions", "use its primary endpoint", false},
		{409, "BlobImmutableDueToPolicy", "see producer.root", false},
		{409, "SnapshotsPresent", "snapshots", false},
		{400, "InvalidQueryParameterValue", "400 InvalidQueryParameterValue", false},
		{418, "", "not of Azure Blob Storage", false},
	} {
		t.Run(test.code, func(t *testing.T) {
			s := newService(t, httptest.NewServer, func(*http.Request) (int, map[string]string, string) {
				header := code(test.code)
				header["x-ms-request-id"] = "r1"
				return test.status, header, ""
			})
			err := s.store(t, Options{}).Delete(t.Context(), "o")
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v want one line with %q", err, test.want)
			}
			var refused interface{ Lasting() bool }
			if !errors.As(err, &refused) || refused.Lasting() != test.lasting {
				t.Errorf("got %v want lasting: %v", err, test.lasting)
			}
		})
	}
}

// TestPutInBoundedMemory streams a body of many blocks: what it takes does not grow with the body (INV-9).
func TestPutInBoundedMemory(t *testing.T) {
	const size, limit = 400 << 20, 160 << 20
	var peak uint64 // under the service's lock
	s := newService(t, httptest.NewServer, func(*http.Request) (int, map[string]string, string) {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		peak = max(peak, memory.HeapAlloc)
		return 201, written(), ""
	})
	info, err := s.store(t, Options{}).Put(t.Context(), "o", io.LimitReader(zeros{}, size), blob.IfAbsent())
	if err != nil || info.Size != size {
		t.Fatalf("got %+v, %v want %d bytes", info, err, size)
	}
	if peak > limit {
		t.Errorf("got a heap of %d MiB want at most %d", peak>>20, limit>>20)
	}
	t.Logf("%d MiB went through a heap of %d MiB", size>>20, peak>>20)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
