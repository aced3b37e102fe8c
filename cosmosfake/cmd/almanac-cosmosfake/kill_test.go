package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

const asProgram = "ALMANAC_COSMOSFAKE_PROGRAM"

// TestMain is the program itself in the processes that TestKill starts.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is a running one, and a client of it.
type program struct {
	command *exec.Cmd
	client  *azcosmos.Client
}

func start(t *testing.T, dir string) program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(t.TempDir(), "ca.pem")
	command := exec.Command(self, "-addr", "127.0.0.1:0", "-cert", cert, "-dir", dir, "-ranges", "3")
	command.Env = append(os.Environ(), asProgram+"=1")
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	endpoint, ok := strings.CutPrefix(strings.TrimSpace(line), "endpoint ")
	if err != nil || !ok {
		_ = command.Wait()
		t.Fatalf("got %q, %v, want its endpoint; it says %s", line, err, complaints.String())
	}
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	credential, err := azcosmos.NewKeyCredential(cosmosfake.DefaultKey)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	client, err := azcosmos.NewClientWithKey(endpoint, credential, &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: transport}, Retry: policy.RetryOptions{MaxRetries: -1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return program{command, client}
}

// kill is kill -9.
func (p program) kill(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Wait(); err == nil {
		t.Error("the program ended by itself")
	}
}

func (p program) orders(t *testing.T) *azcosmos.ContainerClient {
	t.Helper()
	c, err := p.client.NewContainer("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKill kills the program under four writers, three times: every write that was acknowledged is there afterwards, with
// its etag, and session tokens from before are still good.
func TestKill(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, dir)
	if _, err := p.client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "shop"}, nil); err != nil {
		t.Fatal(err)
	}
	db, err := p.client.NewDatabase("shop")
	if err != nil {
		t.Fatal(err)
	}
	key := azcosmos.PartitionKeyDefinition{Paths: []string{"/pk"}}
	if _, err := db.CreateContainer(ctx, azcosmos.ContainerProperties{ID: "orders", PartitionKeyDefinition: key}, nil); err != nil {
		t.Fatal(err)
	}
	type written struct {
		etag    azcore.ETag
		session string
	}
	var (
		mu   sync.Mutex
		done = make(map[string]written) // by writer and id
	)
	for round := range 3 {
		var (
			writers sync.WaitGroup
			c       = p.orders(t)
			enough  = make(chan bool, 8)
		)
		for w := range 4 {
			writers.Go(func() {
				defer func() { enough <- true }()
				for i := 0; ; i++ {
					name := fmt.Sprintf("%d/%d.%d", w, round, i)
					body := fmt.Appendf(nil, `{"id":"%d.%d","pk":"%d"}`, round, i, w)
					res, err := c.CreateItem(ctx, azcosmos.NewPartitionKeyString(fmt.Sprint(w)), body, nil)
					if err != nil {
						return
					}
					mu.Lock()
					done[name] = written{res.ETag, *res.SessionToken}
					mu.Unlock()
					if i == 50 {
						enough <- true
					}
				}
			})
		}
		for range 4 {
			<-enough
		}
		p.kill(t)
		writers.Wait()
		p = start(t, dir)
		for name, want := range done {
			pk, id, _ := strings.Cut(name, "/")
			res, err := p.orders(t).ReadItem(ctx, azcosmos.NewPartitionKeyString(pk), id, &azcosmos.ItemOptions{SessionToken: &want.session})
			if err != nil || res.ETag != want.etag {
				t.Fatalf("round %d: %s: got %s, %v, want %s", round, name, res.ETag, err, want.etag)
			}
		}
	}
	p.kill(t)
	t.Logf("%d writes", len(done))
}

// TestFolderOfTwoPrograms: the second is refused and names the first, which goes on.
func TestFolderOfTwoPrograms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, dir)
	second := exec.Command(first.command.Path, "-addr", "127.0.0.1:0", "-dir", dir)
	second.Env = first.command.Env
	out, err := second.CombinedOutput()
	want := fmt.Sprintf("folder %s is in use by process %d", dir, first.command.Process.Pid)
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v, %s, want it to say %q", err, out, want)
	}
	if _, err := first.client.CreateDatabase(context.Background(), azcosmos.DatabaseProperties{ID: "shop"}, nil); err != nil {
		t.Error(err)
	}
	first.kill(t)
}
