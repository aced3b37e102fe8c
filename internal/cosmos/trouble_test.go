package cosmos_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
)

// TestReadsThroughTrouble answers each read badly at first. The second answer is the one that counts.
func TestReadsThroughTrouble(t *testing.T) {
	a := newAccount(t)
	reads := map[string]func(container string) error{
		"account":   func(string) error { _, err := a.client.ReadAccount(t.Context()); return err },
		"container": func(name string) error { _, err := a.client.ReadContainer(t.Context(), database, name); return err },
		"ranges":    func(name string) error { _, err := a.client.FeedRanges(t.Context(), database, name); return err },
	}
	for i, fault := range []cosmosfake.Fault{
		{Status: 408},
		{Status: 410, Substatus: 1007},
		{Status: 429, Substatus: 3200},
		{Status: 449},
		{Status: 500},
		{Status: 503},
		{Drop: cosmosfake.DropBefore},
		{Drop: cosmosfake.DropAfter},
		{Tear: 30},
	} {
		container := fmt.Sprint("container-", i) // azcosmos keeps the ranges of those that it knows
		a.post("dbs/"+database+"/colls", `{"id":"`+container+`","partitionKey":{"paths":["/tenant"],"kind":"Hash","version":2}}`)
		for name, read := range reads {
			var requests atomic.Int32
			a.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
				if r.URL.Path == "/" && name != "account" {
					return nil // azcosmos looks for regions; TestFirstAnswerIsTrouble is about that
				}
				if requests.Add(1) == 1 {
					return &fault
				}
				return nil
			})
			if err := read(container); err != nil || requests.Load() < 2 {
				t.Errorf("read of the %s after %+v: got %v in %d requests, want what was asked for, by another request", name, fault, err, requests.Load())
			}
		}
		a.server.SetHook(nil)
	}
}

// TestFirstAnswerIsTrouble spoils the very first request of a client, by which azcosmos asks for the account's regions.
func TestFirstAnswerIsTrouble(t *testing.T) {
	for name, fault := range map[string]cosmosfake.Fault{
		"cut off":     {Drop: cosmosfake.DropBefore},
		"unavailable": {Status: 503},
		"late":        {Status: 408},
		"throttled":   {Status: 429, Substatus: 3200},
		"torn":        {Tear: 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			var asked atomic.Int32
			a.server.SetHook(func(r *http.Request) *cosmosfake.Fault {
				if r.URL.Path == "/" && asked.Add(1) == 1 {
					return &fault
				}
				return nil
			})
			if _, err := a.client.ReadContainer(t.Context(), database, products); err != nil {
				t.Error(err)
			}
			if _, err := a.client.FeedRanges(t.Context(), database, products); err != nil {
				t.Error(err)
			}
			if asked.Load() != 2 {
				t.Errorf("got %d questions for regions, want 2", asked.Load())
			}
		})
	}
}

// TestReadsGiveUp bounds the attempts, and tells a refusal without words apart from one that was cut off.
func TestReadsGiveUp(t *testing.T) {
	a := newAccount(t)
	var requests atomic.Int32
	a.server.SetHook(func(*http.Request) *cosmosfake.Fault {
		requests.Add(1)
		return &cosmosfake.Fault{Status: 503}
	})
	if _, err := a.client.ReadAccount(t.Context()); cosmos.StatusOf(err) != 503 || requests.Load() != 3 {
		t.Errorf("got %v after %d requests, want 503 after 3", err, requests.Load())
	}
	for message, want := range map[string]string{"": "answered 449/0", "busy": "answered 449/0: busy"} {
		e := &cosmos.StatusError{Op: "read", Status: 449, Message: message}
		if !strings.HasSuffix(e.Error(), want) {
			t.Errorf("got %q, want it to end with %q", e.Error(), want)
		}
	}
}

// TestWrongKey: the service quotes what was to be signed, which has line ends; the message is one line all the same.
func TestWrongKey(t *testing.T) {
	a := newAccount(t)
	pem := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pem, a.server.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := cosmos.New(cosmos.Options{Endpoint: a.server.URL(), Key: config.NewSecret("d3Jvbmc="), CAFile: pem})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, read := range map[string]func() error{
		"by us":       func() error { _, err := client.ReadAccount(t.Context()); return err },
		"by azcosmos": func() error { _, err := client.ReadContainer(t.Context(), database, products); return err },
	} {
		err := read()
		if cosmos.StatusOf(err) != 401 || strings.ContainsAny(err.Error(), "\r\n") || !strings.Contains(err.Error(), "payload to sign: 'get ") {
			t.Errorf("%s: got %v want 401, and the service's words in one line", name, err)
		}
	}
}

// TestBadSettings names the setting and the remedy, once.
func TestBadSettings(t *testing.T) {
	a := newAccount(t)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := "https://" + nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	key := a.server.Key()
	absent, err := config.Parse("almanac.yaml", []byte("cosmos: {key: {file: /absent}}"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options cosmos.Options
		exit    int
		says    []string
	}{
		"key that is none":  {cosmos.Options{Endpoint: free, Key: config.NewSecret("%")}, 2, []string{"cosmos.key is not base64", "primary or secondary"}},
		"no key":            {cosmos.Options{Endpoint: free}, 2, []string{"cosmos.key is not set", "{env: NAME}"}},
		"key of no file":    {cosmos.Options{Endpoint: free, Key: absent.Cosmos.Key}, 2, []string{"read cosmos.key: open /absent", "name another by cosmos.key"}},
		"unknown authority": {cosmos.Options{Endpoint: a.server.URL(), Key: config.NewSecret(key)}, 2, []string{"unknown authority", "cosmos.ca_file"}},
		"nobody there":      {cosmos.Options{Endpoint: free, Key: config.NewSecret(key)}, 1, []string{"refused", "check cosmos.endpoint"}},
		"name of nobody":    {cosmos.Options{Endpoint: "https://nobody.invalid", Key: config.NewSecret(key)}, 1, []string{"lookup nobody.invalid", "check cosmos.endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := func(err error) {
				t.Helper()
				exit := 1
				var coded interface{ ExitCode() int }
				if errors.As(err, &coded) {
					exit = coded.ExitCode()
				}
				if err == nil || exit != test.exit {
					t.Fatalf("got %v (exit code %d), want exit code %d", err, exit, test.exit)
				}
				for _, text := range test.says {
					if strings.Count(err.Error(), text) != 1 {
						t.Errorf("got %v, want %q in it, once", err, text)
					}
				}
			}
			client, err := cosmos.New(test.options)
			if err != nil {
				want(err)
				return
			}
			defer client.Close()
			_, err = client.ReadAccount(t.Context())
			want(err)
			_, err = client.ReadContainer(t.Context(), database, products)
			want(err)
		})
	}
}
