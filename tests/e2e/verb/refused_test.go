package verb_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// storage is a blob service that holds nothing, and refuses everybody while it is shut.
type storage struct {
	*httptest.Server

	shut  atomic.Bool
	asked atomic.Int64
}

// openStorage lets the world's archive lie in such a service.
func (w *world) openStorage() *storage {
	s := &storage{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		status, code := http.StatusNotFound, "BlobNotFound"
		if s.shut.Load() {
			status, code = http.StatusForbidden, "AuthenticationFailed"
		}
		rw.Header().Set("X-Ms-Error-Code", code)
		rw.WriteHeader(status)
	}))
	w.t.Cleanup(s.Close)
	w.settings["archive.root"], w.settings["archive.account_key"] = s.URL+"/devstoreaccount1/almanac", "a2V5"
	return s
}

// TestRefusedAtTheStart: a key that the storage does not take ends every program at once, as a mistake of the configuration.
func TestRefusedAtTheStart(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	storage := w.openStorage()
	storage.shut.Store(true)
	for program, verbs := range map[string][]string{
		"producer": {"check", "run", "status"}, "archiver": {"check", "run", "status"}, "compactor": {"check", "run", "status", "snapshot", "clear"},
		"restorer": {"check", "points", "status", "run --before 2026-11-20T10:15:00Z"},
	} {
		for _, verb := range verbs {
			before := storage.asked.Load()
			exit, stdout, stderr := w.run(program, strings.Fields(verb)...)
			if asked := storage.asked.Load() - before; asked > 3 {
				t.Errorf("%s %s: got %d requests want it to end at once", program, verb, asked)
			}
			if all := stdout + stderr; exit != 2 || !strings.Contains(all, "AuthenticationFailed") || !strings.Contains(all, "the key, signature or token is not accepted") {
				t.Errorf("%s %s: got exit %d\n%swant exit 2, and what to do", program, verb, exit, all)
			}
		}
	}
}

// TestSecretsThatLeadNowhere: whichever secret of whichever program is not there, one line names the setting, the variable or
// file, and what to do, in `check` and where the work is done.
func TestSecretsThatLeadNowhere(t *testing.T) {
	all := []string{"producer", "archiver", "compactor", "restorer"}
	for _, test := range []struct {
		setting, root string
		programs      []string
	}{
		{"archive.account_key", "az://sky/almanac", all},
		{"archive.connection_string", "az://sky/almanac", all},
		{"archive.sas", "az://sky/almanac", all},
		{"cosmos.key", "", []string{"producer", "restorer"}},
		{"kafka.sasl.password", "", []string{"producer", "archiver"}},
	} {
		for reference, want := range map[string][]string{
			"{env: NOT_SET}":             {"read " + test.setting + ": environment variable NOT_SET is not set", "set NOT_SET for this process, or give " + test.setting},
			"{file: /absent}":            {"read " + test.setting + ": open /absent: no such file", "let this process read that file, or name another by " + test.setting},
			"{file: " + os.DevNull + "}": {"read " + test.setting + ": " + os.DevNull + " is empty", "write the secret into it"},
		} {
			t.Run(test.setting+" "+reference, func(t *testing.T) {
				w := newWorld(t)
				w.createTopic(3, nil)
				w.settings[test.setting] = reference
				if test.root != "" {
					w.settings["archive.root"] = test.root
				}
				if test.setting == "kafka.sasl.password" {
					delete(w.settings, test.setting)
					w.settings["kafka.sasl"] = "{mechanism: SCRAM-SHA-512, user: almanac, password: " + reference + "}"
				}
				for _, program := range test.programs {
					verbs := []string{"check", "run"}
					switch {
					case program == "restorer" && test.root == "":
						verbs = verbs[:1] // the archive is read before the key is asked for, and there is none
					case program == "restorer":
						verbs[1] = "run --before 2026-11-20T10:15:00Z"
					}
					for _, verb := range verbs {
						exit, stdout, stderr := w.run(program, strings.Fields(verb)...)
						if said := stdout + stderr; exit != 2 || !strings.Contains(said, want[0]) || !strings.Contains(said, want[1]) {
							t.Errorf("%s %s: got exit %d\n%swant exit 2, and %q", program, verb, exit, said, want)
						}
					}
				}
			})
		}
	}
}

// TestRefusedLater: a refusal that comes while a program runs is waited out.
func TestRefusedLater(t *testing.T) {
	w := newWorld(t)
	storage := w.openStorage()
	w.settings["compactor.snapshot_interval"] = "10ms"
	stop := w.start("compactor")
	more := func(what string) {
		t.Helper()
		before := storage.asked.Load()
		w.eventually(what, func() string {
			if storage.asked.Load() < before+5 {
				return "there are few"
			}
			return ""
		})
	}
	more("looks at an empty archive")
	storage.shut.Store(true)
	more("looks that are refused")
	stop() // which demands exit code 0
}

// TestUnencryptedStorage: storage of another machine is asked by http where a setting says so, and then every check warns.
func TestUnencryptedStorage(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	w.openStorage()
	w.settings["archive.root"] = strings.Replace(w.settings["archive.root"], "127.0.0.1", "0.0.0.0", 1) // this machine, by an address that is not known to be
	for program := range programs() {
		exit, stdout, stderr := w.run(program, "check")
		if said := stdout + stderr; exit != 2 || !strings.Contains(said, "is not encrypted: everybody on the way could read") || !strings.Contains(said, "set archive.allow_http") {
			t.Errorf("%s: got exit %d\n%swant exit 2, and what to do", program, exit, said)
		}
	}
	w.settings["archive.allow_http"] = "true"
	for program := range programs() {
		_, stdout, stderr := w.run(program, "check")
		if strings.Count(stdout, "is not encrypted, and archive.allow_http lets it be") != 1 || !strings.Contains(stdout, "object not found") {
			t.Errorf("%s: got\n%s%swant one warning, and what the storage said", program, stdout, stderr)
		}
	}
	w.settings["producer.root"] = w.settings["archive.root"] + "/checkpoints"
	for program, warnings := range map[string]int{"producer": 2, "archiver": 2, "compactor": 1, "restorer": 1} {
		_, stdout, stderr := w.run(program, "check")
		if strings.Count(stdout, "is not encrypted, and archive.allow_http lets it be") != warnings {
			t.Errorf("%s with two roots: got\n%s%swant %d warnings", program, stdout, stderr, warnings)
		}
	}
}
