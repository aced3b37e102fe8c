package real_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// TestRefusalsByKafka: who connects to Apache Kafka otherwise than it wants learns in one line what is wrong, and which setting
// mends it, from `check` and from `run`.
func TestRefusalsByKafka(t *testing.T) {
	onRequest(t)
	const (
		encrypted, signed, both = "SSL", "SASL_PLAINTEXT", "SASL_SSL"
		login                   = `org.apache.kafka.common.security.plain.PlainLoginModule required user_almanac="right";`
	)
	g := newGuarded(t, map[string]string{encrypted: encrypted, signed: signed, both: both}, "sasl.enabled.mechanisms=PLAIN",
		"listener.name.sasl_plaintext.plain.sasl.jaas.config="+login, "listener.name.sasl_ssl.plain.sasl.jaas.config="+login)
	s := newScene(t, filepath.Join(components.folder, t.Name()), "orders", []string{g.at[plaintext]}, harness.Settings{"kafka.topic_prefix": "absent"})
	tls := []string{"ALMANAC_KAFKA_TLS_ENABLED=true", "ALMANAC_KAFKA_TLS_CA_FILE=" + g.authority.File}
	sasl := func(mechanism, password string) []string {
		return []string{"ALMANAC_KAFKA_SASL_MECHANISM=" + mechanism, "ALMANAC_KAFKA_SASL_USER=almanac", "ALMANAC_KAFKA_SASL_PASSWORD=" + password}
	}
	right := sasl("PLAIN", "right")
	for _, test := range []struct {
		name, port string
		tls, sasl  []string
		exit       int
		want       string
	}{
		{"as it wants", both, tls, right, 2, "does not exist"},
		{"TLS where there is none", plaintext, tls, nil, 1, "set kafka.tls.enabled to false"},
		{"TLS where there is SASL alone", signed, tls, right, 1, "set kafka.tls.enabled to false"},
		{"no TLS", encrypted, nil, nil, 2, "set kafka.tls.enabled to true"},
		{"SASL without TLS", both, nil, right, 2, "set kafka.tls.enabled to true"},
		{"TLS with an authority that is not known", encrypted, tls[:1], nil, 2, "give it by kafka.tls.ca_file"},
		{"no SASL", signed, nil, nil, 1, "set kafka.sasl.mechanism, kafka.sasl.user and kafka.sasl.password"},
		{"TLS without SASL", both, tls, nil, 1, "set kafka.sasl.mechanism, kafka.sasl.user and kafka.sasl.password"},
		{"SASL where there is none", plaintext, nil, right, 2, "remove kafka.sasl"},
		{"other mechanism", signed, nil, sasl("SCRAM-SHA-512", "right"), 2, "set kafka.sasl.mechanism to one"},
		{"other password", signed, nil, sasl("PLAIN", "wrong"), 2, "check kafka.sasl.user, kafka.sasl.password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := append(append([]string{"ALMANAC_KAFKA_BROKERS=" + g.at[test.port]}, test.tls...), test.sasl...)
			for _, program := range []string{"producer", "archiver"} {
				for _, verb := range []string{"check", "run"} {
					r, err := s.stack.RunEnv(s.ctx, env, program, verb)
					if err != nil {
						t.Fatal(err)
					}
					said, lines := string(r.Stdout)+string(r.Stderr), 0
					for line := range strings.Lines(said) {
						if strings.Contains(line, test.want) {
							lines++
						}
					}
					if r.Exit != test.exit || lines != 1 {
						t.Errorf("%s %s: got exit code %d\n%swant %d, and one line with %q", program, verb, r.Exit, said, test.exit, test.want)
					}
				}
			}
		})
	}
}
