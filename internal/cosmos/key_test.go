package cosmos_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
)

// TestKeyIsReadAgain: a key that is rotated in its file is taken up after the first refusal, by what we sign and by what azcosmos
// signs.
func TestKeyIsReadAgain(t *testing.T) {
	a := newAccount(t)
	folder := t.TempDir()
	ca, file := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "key")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, string(a.server.CAPEM()))
	write(file, a.server.Key())
	cfg, err := config.Parse("almanac.yaml", []byte("cosmos: {key: {file: "+file+"}}"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := cosmos.New(cosmos.Options{Endpoint: a.server.URL(), Key: cfg.Cosmos.Key, CAFile: ca})
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
		write(file, "b3RoZXI=") // rotated, and the account knows it before we do
		a.server.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Status: http.StatusUnauthorized} })
		want(http.StatusUnauthorized, "refused")
		a.server.SetHook(nil)
		want(http.StatusUnauthorized, "with the other key, which is wrong")
		for _, spoiled := range []string{"", "not base64!"} {
			write(file, spoiled)
			want(http.StatusUnauthorized, "while the file is written")
		}
		write(file, a.server.Key())
		want(0, "with the key that is right again")
	}
}

// TestWriterTakesUpAnotherKey: a restore that takes hours need not be run again because the key was rotated.
func TestWriterTakesUpAnotherKey(t *testing.T) {
	a := newAccount(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, a.server.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	now := "b3RoZXI="
	w, err := cosmos.NewWriter(cosmos.WriterOptions{Endpoint: a.server.URL(), Key: now, KeyNow: func() (string, error) { return now, nil }, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	create := func() error {
		return w.CreateContainer(t.Context(), database, []byte(`{"id":"anew","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`))
	}
	if err := create(); cosmos.StatusOf(err) != http.StatusUnauthorized {
		t.Errorf("got %v want status 401 while no other key is there", err)
	}
	now = a.server.Key()
	if err := create(); err != nil {
		t.Error(err)
	}
}
