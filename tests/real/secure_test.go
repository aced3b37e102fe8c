package real_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// vault is an Apache Kafka that wants to know who connects, and lets nobody do what was not granted. The tests themselves come
// by a listener at which everybody is its superuser.
type vault struct {
	*guarded

	password, token string // files
	cert, key       string
}

const (
	vaultUser = "almanac"
	saslPort  = "SASL"
	mutualTLS = "MUTUAL"
)

func newVault(t *testing.T) *vault {
	t.Helper()
	const login = "org.apache.kafka.common.security."
	v := &vault{guarded: newGuarded(t, map[string]string{saslPort: "SASL_SSL", mutualTLS: "SSL"},
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"listener.name.sasl.plain.sasl.jaas.config="+login+`plain.PlainLoginModule required user_almanac="first";`,
		"listener.name.sasl.scram-sha-256.sasl.jaas.config="+login+"scram.ScramLoginModule required;",
		"listener.name.sasl.scram-sha-512.sasl.jaas.config="+login+"scram.ScramLoginModule required;",
		"listener.name.sasl.oauthbearer.sasl.jaas.config="+login+`oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
		"listener.name.mutual.ssl.client.auth=required", "ssl.principal.mapping.rules=RULE:^CN=(.*?)$/$1/",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS",
	)}
	folder := t.TempDir()
	v.password, v.token = filepath.Join(folder, "password"), filepath.Join(folder, "token")
	var err error
	if v.cert, v.key, err = v.authority.Issue(vaultUser); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{v.password: "first", v.token: unsecuredToken(vaultUser)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// unsecuredToken is one that Kafka's own validator for tests believes: nobody has signed it.
func unsecuredToken(subject string) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	now := time.Now()
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, subject, now.Unix(), now.Add(time.Hour).Unix())) + "."
}

// settings let the programs come by a mechanism, or by their certificate.
func (v *vault) settings(mechanism string) harness.Settings {
	s := harness.Settings{"kafka.brokers": "[" + v.at[saslPort] + "]", "kafka.tls": "{ enabled: true, ca_file: " + v.authority.File + " }"}
	switch mechanism {
	case "certificate":
		s["kafka.brokers"] = "[" + v.at[mutualTLS] + "]"
		s["kafka.tls"] = fmt.Sprintf("{ enabled: true, ca_file: %s, cert_file: %s, key_file: %s }", v.authority.File, v.cert, v.key)
	case "OAUTHBEARER":
		s["kafka.sasl"] = "{ mechanism: OAUTHBEARER, token_file: " + v.token + " }"
	default:
		s["kafka.sasl"] = fmt.Sprintf("{ mechanism: %s, user: %s, password: { file: %s } }", mechanism, vaultUser, v.password)
	}
	return s
}

// rights are what docs/operations.md says that the programs need of a topic.
func rights(topic, producers, archivers string) *kadm.ACLBuilder {
	return kadm.NewACLs().ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:"+vaultUser).AllowHosts().
		Topics(topic).Groups(producers, archivers).Operations(kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpRead, kadm.OpWrite)
}

// TestSecuredKafka: every way to prove who connects, with no more rights than docs/operations.md names, and what happens when
// they are taken away while the programs run.
func TestSecuredKafka(t *testing.T) {
	onRequest(t)
	v := newVault(t)
	folder := filepath.Join(components.folder, t.Name())
	for _, mechanism := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER", "certificate"} {
		name := strings.ToLower(mechanism)
		s := newScene(t, filepath.Join(folder, name), name, []string{v.at[plaintext]}, v.settings(mechanism))
		s.password("first")
		s.grant()
		s.checked()
		if mechanism == "SCRAM-SHA-512" {
			rightsTakenAway(s)
		}
	}
}

func (s *scene) rights() *kadm.ACLBuilder {
	return rights(s.shop.TopicName(), producers+"."+s.shop.TopicName(), "archiver-"+s.shop.ID)
}

func (s *scene) grant() {
	s.t.Helper()
	made, err := s.admin.CreateACLs(s.ctx, s.rights())
	s.must(err)
	for _, one := range made {
		s.must(one.Err)
	}
}

func (s *scene) revoke() {
	s.t.Helper()
	_, err := s.admin.DeleteACLs(s.ctx, kadm.NewACLs().ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:"+vaultUser).AllowHosts().
		Topics(s.shop.TopicName()).Operations())
	s.must(err)
}

// password is what SCRAM asks for from now on.
func (s *scene) password(text string) {
	s.t.Helper()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		_, err := s.admin.AlterUserSCRAMs(s.ctx, nil, []kadm.UpsertSCRAM{{User: vaultUser, Mechanism: mechanism, Iterations: 4096, Password: text}})
		s.must(err)
	}
}

// checked waits until both programs' checks object to nothing: rights and passwords come to a broker by its metadata log.
func (s *scene) checked() {
	s.t.Helper()
	for _, program := range []string{"producer", "archiver"} {
		s.until("the check of the "+program, func() (string, error) {
			r, err := s.stack.Run(s.ctx, program, "check")
			if err != nil || r.Exit == 0 {
				return "", err
			}
			return string(r.Stdout), nil
		})
	}
}

// rightsTakenAway while the programs run, and given back: the archiver ends and says why, the producer waits; and nothing is
// lost.
func rightsTakenAway(s *scene) {
	s.t.Helper()
	const refusal = "TOPIC_AUTHORIZATION_FAILED"
	s.spawn("producer", "archiver")
	s.write(20)
	s.restorable()
	s.revoke()
	s.write(20)
	s.until("the end of the archiver", func() (string, error) {
		if archiver := s.stack.Process("archiver"); archiver.Running() || !strings.Contains(archiver.Tail(5), refusal) {
			return "it has not ended by " + refusal, nil
		}
		return "", nil
	})
	s.until("a word of the producer", func() (string, error) {
		producer := s.stack.Process("producer")
		if !producer.Running() {
			return "", fmt.Errorf("it ended: %s", producer.Tail(5))
		}
		if !strings.Contains(producer.Tail(30), "grant Describe, Read and Write") {
			return "it says nothing", nil
		}
		return "", nil
	})
	s.grant()
	s.checked()
	s.start("archiver")
	s.write(5)
	s.restorable()
	s.stop("producer")
	s.archived(scenePartitions)
	s.complete(0)
}
