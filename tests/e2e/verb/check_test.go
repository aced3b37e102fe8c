package verb_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/producer"
)

// TestChecksBeforeAnythingRan: all is well, or said to be missing yet, and nothing is left behind.
func TestChecksBeforeAnythingRan(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	for program, want := range map[string]check.Severity{
		"producer": check.OK, "archiver": check.OK, "compactor": check.Warning, "restorer": check.Warning,
	} {
		exit, report := w.check(program)
		if exit != 0 || report.Severity != want || report.Program != "almanac-"+program {
			t.Errorf("%s: got exit %d, %+v want 0, %s", program, exit, report, want)
		}
		exit, stdout, stderr := w.run(program, "check")
		if exit != 0 || !strings.HasPrefix(stdout, "ok  ") && !strings.HasPrefix(stdout, "warning  ") || stderr != "" {
			t.Errorf("%s: got exit %d\n%s%swant it as text", program, exit, stdout, stderr)
		}
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("got files %v in the archive want none", left)
	}
	ends, err := w.admin.ListEndOffsets(t.Context(), topic)
	w.must(err)
	if got := ends.Offsets().KOffsets()[topic]; got[0].EpochOffset().Offset != 0 || got[1].EpochOffset().Offset != 0 {
		t.Errorf("got ends %v want an empty topic", got)
	}
	groups, err := w.admin.ListGroups(t.Context())
	if w.must(err); len(groups) != 0 {
		t.Errorf("got groups %v want none", groups.Groups())
	}
}

// TestChecksThatFind holds everything that may be wrong to the program that finds it, its exit code and its words.
func TestChecksThatFind(t *testing.T) {
	denied := kfake.ACL{Resource: kmsg.ACLResourceTypeGroup, Name: "almanac-archiver", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationRead}
	allowed := kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationAll, Allow: true}
	for _, test := range []struct {
		name     string
		programs []string
		options  []kfake.Opt
		spoil    func(*world)
		exit     int
		want     string
	}{
		{"topic is missing", []string{"producer", "archiver"}, nil, func(w *world) {
			w.must(w.kafka.DeleteTopic(topic))
		}, 2, "topic cosmos.shop.products: it does not exist"},
		{"topic will be made", []string{"producer", "archiver"}, nil, func(w *world) {
			w.must(w.kafka.DeleteTopic(topic))
			w.settings["kafka.create_topics"] = "true"
		}, 0, "the brokers will make it (partitions: 6, replicas of each: 3)"},
		{"topic was there before", []string{"producer", "archiver"}, nil, func(w *world) {
			w.must(w.kafka.DeleteTopic(topic))
			w.settings["kafka.create_topics"] = "true"
			w.must(os.Mkdir(filepath.Join(w.archive, topic), 0o755))
			w.must(os.WriteFile(filepath.Join(w.archive, topic, "topic.json"), []byte(`{"uuid":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","format":1}`), 0o600))
		}, 2, "and the archive holds records of it"},
		{"topic is missing, and so is the archive", []string{"producer", "archiver"}, nil, func(w *world) {
			w.must(w.kafka.DeleteTopic(topic))
			w.settings["kafka.create_topics"], w.settings["archive.root"] = "true", filepath.Join(w.dir, "absent")
		}, 2, "-> mend what is found of the archive, and check again"},
		{"topic is compacted", []string{"producer", "archiver"}, nil, func(w *world) {
			w.must(w.kafka.DeleteTopic(topic))
			w.createTopic(3, map[string]string{"cleanup.policy": "compact"})
		}, 2, "cleanup.policy is compact"},
		{"brokers take less", []string{"producer"}, nil, func(w *world) {
			w.settings["kafka.max_message_bytes"] = "2MB"
		}, 2, "the brokers refuse records that kafka.max_message_bytes, 2000000, allows"},
		{"group is not allowed", []string{"archiver"}, []kfake.Opt{kfake.EnableACLs(), kfake.User("SCRAM-SHA-512", "reader", password, denied, allowed)}, func(w *world) {
			w.settings["kafka.sasl"] = "{mechanism: SCRAM-SHA-512, user: reader, password: {env: KAFKA_PASSWORD}}"
		}, 2, "this user may not be a member of group almanac-archiver"},
		{"brokers are not there", []string{"producer", "archiver"}, nil, func(w *world) { w.kafka.Close() }, 1, "do not answer"},
		{"authority is not known", []string{"producer", "archiver"}, nil, func(w *world) { w.settings["kafka.tls"] = "{enabled: true}" }, 2, "-> give it by kafka.tls.ca_file"},
		{"password is not set", []string{"producer", "archiver"}, nil, func(w *world) {
			w.settings["kafka.sasl"] = "{mechanism: SCRAM-SHA-512, user: almanac, password: {env: NOT_SET}}"
		}, 2, "environment variable NOT_SET is not set"},
		{"variable of the key is not set", []string{"producer", "restorer"}, nil, func(w *world) {
			w.settings["cosmos.key"] = "{env: NOT_SET}"
		}, 2, "environment variable NOT_SET is not set\n             -> set NOT_SET for this process"},
		{"variable of the storage's key is not set", []string{"producer", "archiver", "compactor", "restorer"}, nil, func(w *world) {
			w.settings["archive.root"], w.settings["archive.account_key"] = "az://sky/almanac", "{env: NOT_SET}"
		}, 2, "environment variable NOT_SET is not set\n             -> set NOT_SET for this process"},
		{"storage is not there", []string{"compactor"}, nil, func(w *world) {
			w.settings["archive.root"], w.settings["archive.sas"] = "http://127.0.0.1:1/devstoreaccount1/almanac", "sig=x"
		}, 1, "connection refused\n             -> the endpoint does not answer: check network, proxy and firewall"},
		{"file of authorities is elsewhere", []string{"producer", "restorer"}, nil, func(w *world) {
			w.settings["cosmos.ca_file"] = "elsewhere.pem"
		}, 2, "-> give cosmos.ca_file as an absolute path"},
		{"endpoint without TLS", []string{"producer", "restorer"}, nil, func(w *world) {
			w.settings["cosmos.endpoint"] = "http://localhost:8081/"
		}, 2, "only https:// is spoken"},
		{"account is not there", []string{"producer", "restorer"}, nil, func(w *world) { w.settings["cosmos.endpoint"] = "https://127.0.0.1:1/" }, 1, "connection refused\n             -> check cosmos.endpoint, the name service"},
		{"key is wrong", []string{"producer", "restorer"}, nil, func(w *world) { w.settings["cosmos.key"] = "d3Jvbmc=" }, 2, "check that cosmos.key is a key of this account"},
		{"key reads and does not write", []string{"restorer"}, nil, func(w *world) {
			w.cosmos.SetHook(func(r *http.Request) *cosmosfake.Fault {
				if r.Method == http.MethodDelete {
					return &cosmosfake.Fault{Status: 401, Message: "no"}
				}
				return nil
			})
		}, 2, "container shop.products: the key reads and may not write"},
		{"container is missing", []string{"producer"}, nil, func(w *world) {
			w.must(w.account.DeleteContainer(w.t.Context(), products()))
		}, 2, "check the names of database and container"},
		{"container is missing, and may be restored", []string{"restorer"}, nil, func(w *world) {
			w.must(w.account.DeleteContainer(w.t.Context(), products()))
		}, 0, "so whether the key may write could not be tried"},
		{"documents expire", []string{"producer"}, nil, func(w *world) {
			w.must(w.account.DeleteContainer(w.t.Context(), products()))
			w.createContainer(`,"defaultTtl":3600`)
		}, 0, "it has a time to live (defaultTtl 3600)"},
		{"archive is a file", []string{"producer", "archiver", "compactor", "restorer"}, nil, func(w *world) {
			path := filepath.Join(w.dir, "file")
			w.must(os.WriteFile(path, nil, 0o600))
			w.settings["archive.root"] = path
		}, 2, "archive.root"},
		{"spill folder is missing", []string{"compactor", "restorer"}, nil, func(w *world) {
			w.settings["compactor.spill"], w.settings["restorer.spill"] = filepath.Join(w.dir, "absent"), filepath.Join(w.dir, "absent")
		}, 2, "spill: open "},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.options...)
			w.createTopic(3, nil)
			test.spoil(w)
			for _, program := range test.programs {
				exit, stdout, stderr := w.run(program, "check")
				if exit != test.exit || !strings.Contains(stdout+stderr, test.want) {
					t.Errorf("%s: got exit %d\n%s%swant exit %d: %s", program, exit, stdout, stderr, test.exit, test.want)
				}
			}
		})
	}
}

// TestWithoutCredential: where no secret is configured and nobody has signed in, that is said once and shortly, with what
// to do; the rest is for those who ask for it.
func TestWithoutCredential(t *testing.T) {
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential") // nobody is asked who this machine is
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"} {
		t.Setenv(name, "")
	}
	w := newWorld(t)
	w.createTopic(3, nil)
	w.settings["archive.root"] = "az://sky/almanac"
	for program := range programs() {
		exit, stdout, stderr := w.run(program, "check")
		all := stdout + stderr
		want := "archive.root: no credential of Entra ID was found for storage account sky\n" + strings.Repeat(" ", 13) + "-> sign in with `az login`"
		if exit != 2 || strings.Count(all, "no credential") != 1 || !strings.Contains(stdout, "stop         "+want) {
			t.Errorf("%s: got exit %d\n%swant exit 2, and once\n%s", program, exit, all, want)
		}
		for _, never := range []string{"EnvironmentCredential", "from a copy", "unreachable"} {
			if strings.Contains(all, never) {
				t.Errorf("%s: got\n%swant nothing of %q", program, all, never)
			}
		}
		if _, _, stderr := w.run(program, "check", "--service-log-level", "debug"); strings.Count(stderr, "EnvironmentCredential: missing") != 1 {
			t.Errorf("%s: got\n%swant the details, once", program, stderr)
		}
		if exit, _, stderr := w.run(program, "status"); exit != 2 || !strings.Contains(stderr, "sign in with `az login`") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s status: got exit %d\n%swant exit 2, and one line", program, exit, stderr)
		}
		verb := "run"
		if program == "restorer" {
			verb = "points"
		}
		if exit, _, stderr := w.run(program, verb); exit != 2 || !strings.Contains(stderr, "sign in with `az login`") {
			t.Errorf("%s %s: got exit %d\n%swant exit 2, and what to do", program, verb, exit, stderr)
		}
	}
}

// TestCheckOfSeveralWriteRegions: such an account answers, and what it holds has no order.
func TestCheckOfSeveralWriteRegions(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	account := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(rw, r)
			return
		}
		_, _ = io.WriteString(rw, `{"id":"sky","writableLocations":[{"name":"West Europe"},{"name":"North Europe"}]}`)
	}))
	t.Cleanup(account.Close)
	w.must(os.WriteFile(filepath.Join(w.dir, "sky.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: account.Certificate().Raw}), 0o600))
	w.settings["cosmos.endpoint"], w.settings["cosmos.ca_file"] = account.URL+"/", filepath.Join(w.dir, "sky.pem")
	exit, stdout, _ := w.run("producer", "check")
	if want := "the account writes in 2 regions (West Europe, North Europe)"; exit != 2 || !strings.Contains(stdout, want) {
		t.Errorf("got exit %d\n%swant exit 2: %s", exit, stdout, want)
	}
}

// TestCheckOfWhatWasBegun: a container that was made anew, and a start that was changed, contradict the archive.
func TestCheckOfWhatWasBegun(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	stop := w.start("producer")
	var ranges producer.Status
	w.eventually("the producer to begin", func() string {
		w.status("producer", &ranges)
		if !ranges.Containers[0].Begun {
			return "it has not"
		}
		return ""
	})
	stop()
	for _, test := range []struct {
		name  string
		spoil func()
		exit  int
		want  string
	}{
		{"as it was", func() {}, 0, "its change feed can be read"},
		{"start", func() { w.container = ", start: now" }, 2, "it began with start: beginning, and almanac.yaml says now"},
		{"incarnation", func() {
			w.container = ""
			w.must(w.account.DeleteContainer(t.Context(), products()))
			w.createContainer("")
		}, 2, "and now another stands there"},
	} {
		test.spoil()
		exit, stdout, stderr := w.run("producer", "check")
		if exit != test.exit || !strings.Contains(stdout, test.want) {
			t.Errorf("%s: got exit %d\n%s%swant exit %d: %s", test.name, exit, stdout, stderr, test.exit, test.want)
		}
	}
}

// TestCheckOfAnotherArchive: a topic whose records were published for another archive stops an archiver at the first of them
// where this archive has begun one of that name. (Where it has not: TestTopicOfAnotherArchive.)
func TestCheckOfAnotherArchive(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	w.write(20)
	stop := w.start("producer")
	w.eventually("records in all partitions", func() string {
		ends, err := w.admin.ListEndOffsets(t.Context(), topic)
		w.must(err)
		for _, end := range ends[topic] {
			if end.Offset == 0 {
				return fmt.Sprintf("partition %d has none", end.Partition)
			}
		}
		return ""
	})
	stop()
	if exit, report := w.check("archiver"); exit != 0 {
		t.Fatalf("got exit %d, %+v want all well with the archive that they were published for", exit, report)
	}
	other := filepath.Join(w.dir, "other")
	w.settings["archive.root"] = other
	w.must(os.MkdirAll(filepath.Join(other, topic), 0o755))
	w.must(os.WriteFile(filepath.Join(other, topic, "topic.json"), []byte(`{"uuid":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","format":1}`), 0o600))
	const want, remedy = "topic.json says 6ba7b810-9dad-41d1-80b4-00c04fd430c8", "-> put back the one that belongs to it, or archive under another topic name\n"
	if exit, stdout, stderr := w.run("archiver", "check"); exit != 2 || strings.Count(stdout, want) != 2 || !strings.Contains(stdout, remedy) || stderr == "" {
		t.Errorf("got exit %d\n%s%swant exit 2, and of both partitions %q, %q", exit, stdout, stderr, want, remedy)
	}
	if exit, stdout, _ := w.run("archiver", "status"); exit != 0 || !strings.Contains(stdout, want) || !strings.Contains(stdout, " uuid ") {
		t.Errorf("got exit %d\n%swant %q in the status too", exit, stdout, want)
	}
	if exit, _, stderr := w.run("archiver", "run"); exit != 3 || !strings.Contains(stderr, "6ba7b810-9dad-41d1-80b4-00c04fd430c8") {
		t.Errorf("got exit %d\n%swant what check foretold", exit, stderr)
	}
	w.finds("archiver", "topic partition "+topic+"/0 is halted since", "once it is mended: almanac-archiver clear --topic "+topic+" --partition 0")
}
