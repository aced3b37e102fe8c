package cosmos_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
)

// keyFile keeps the account's key in a file, as a configuration names it, and tells the file of the account's authority too.
func keyFile(t *testing.T, a *account, text string) (key config.Secret, ca string, rotate func(text string)) {
	t.Helper()
	folder := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rotate = func(text string) { t.Helper(); write("key", text) }
	cfg, err := config.Parse("almanac.yaml", []byte("cosmos: {key: {file: "+write("key", text)+"}}"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Cosmos.Key, write("ca.pem", string(a.server.CAPEM())), rotate
}

// TestWriterReadsKeyAgain: writers that are at work when the key is rotated in its file go on with the other one.
func TestWriterReadsKeyAgain(t *testing.T) {
	a := newAccount(t)
	key, ca, rotate := keyFile(t, a, "b3RoZXI=") // the key of before
	writer, err := cosmos.NewWriter(cosmos.WriterOptions{Endpoint: a.server.URL(), Key: key, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	const n = 8
	create := func() []error {
		failures := make([]error, n)
		var writers sync.WaitGroup
		for i := range n {
			writers.Go(func() {
				item := cosmos.Item{Key: []byte(`["k"]`), ID: fmt.Append(nil, i), Body: fmt.Appendf(nil, `{"id":"%d","tenant":"k"}`, i)}
				_, failures[i] = writer.CreateItem(t.Context(), cosmos.ContainerRef{Database: database, Container: products}, item)
			})
		}
		writers.Wait()
		return failures
	}
	for _, test := range []struct {
		file   string
		status int
	}{
		{"b3RoZXI=", http.StatusUnauthorized},
		{"d3Jvbmc=", http.StatusUnauthorized},
		{"", http.StatusUnauthorized},
		{"not base64!", http.StatusUnauthorized},
		{a.server.Key(), 0},
	} {
		rotate(test.file)
		for i, err := range create() {
			if cosmos.StatusOf(err) != test.status {
				t.Errorf("writer %d, %q in the file: got %v, want status %d", i, test.file, err, test.status)
			}
		}
	}
}

// TestKeyIsReadAgain: a key that is rotated in its file is taken up after the first refusal, by what we sign and by what azcosmos
// signs.
func TestKeyIsReadAgain(t *testing.T) {
	a := newAccount(t)
	key, ca, rotate := keyFile(t, a, a.server.Key())
	client, err := cosmos.New(cosmos.Options{Endpoint: a.server.URL(), Key: key, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	container, err := client.ReadContainer(t.Context(), database, products)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := client.FeedRanges(t.Context(), database, products)
	if err != nil {
		t.Fatal(err)
	}
	signsWithOurs := func() error {
		_, err := client.ReadAccount(t.Context())
		return err
	}
	signsWithAzcosmos := func() error {
		_, err := client.ReadChanges(t.Context(), cosmos.ReadOptions{Container: container, Range: spans[0]})
		return err
	}
	for _, ask := range []func() error{signsWithAzcosmos, signsWithOurs} {
		want := func(status int, after string) {
			t.Helper()
			if err := ask(); cosmos.StatusOf(err) != status {
				t.Errorf("%s: got %v want status %d", after, err, status)
			}
		}
		want(0, "at first")
		rotate("b3RoZXI=") // rotated, and the account knows it before we do
		a.server.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Status: http.StatusUnauthorized} })
		want(http.StatusUnauthorized, "refused")
		a.server.SetHook(nil)
		want(http.StatusUnauthorized, "with the other key, which is wrong")
		for _, spoiled := range []string{"", "not base64!"} {
			rotate(spoiled)
			want(http.StatusUnauthorized, "while the file is written")
		}
		rotate(a.server.Key())
		want(0, "with the key that is right again")
	}
}
