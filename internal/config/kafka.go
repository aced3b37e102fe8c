package config

import "time"

// The limits of Event Hubs (Event Hubs quotas, and the Kafka client settings that its documentation recommends).
const (
	eventHubsMessage     Bytes = 1_046_528 - 1<<10 // a request of 1,046,528 bytes ends the connection, and a record has a request around it
	eventHubsSessionLow        = 6 * time.Second
	eventHubsSessionHigh       = 5 * time.Minute

	// ConnectionStringUser is the user under which Event Hubs takes a connection string for a password.
	ConnectionStringUser = "$ConnectionString"
)

// deriveKafka fills the defaults that depend on the profile.
func (l *loader) deriveKafka() {
	k := &l.cfg.Kafka
	const from = "default, from kafka.profile"
	eventHubs := k.Profile == ProfileEventHubs
	if k.Compression == "" {
		k.Compression = CompressionSnappy
		if eventHubs {
			k.Compression = CompressionNone
		}
		l.cfg.origins["kafka.compression"] = from
	}
	if !eventHubs {
		return
	}
	if l.cfg.origins["kafka.tls.enabled"] == "default" {
		k.TLS.Enabled = true
		l.cfg.origins["kafka.tls.enabled"] = from
	}
	if k.SASL.Mechanism == "" {
		k.SASL.Mechanism = OAuthBearer
		if k.SASL.Password.IsSet() {
			k.SASL.Mechanism = Plain
		}
		l.cfg.origins["kafka.sasl.mechanism"] = from
	}
	if k.SASL.User == "" && k.SASL.Mechanism == Plain {
		k.SASL.User = ConnectionStringUser
		l.cfg.origins["kafka.sasl.user"] = from
	}
}

// checkKafka states what no single key of kafka shows. That a secret is there is left to whoever connects: programs that
// do not know Kafka read the same file.
func (l *loader) checkKafka() {
	k := l.cfg.Kafka
	if !k.TLS.Enabled {
		for _, file := range []struct{ path, value string }{
			{"kafka.tls.ca_file", k.TLS.CAFile},
			{"kafka.tls.cert_file", k.TLS.CertFile},
			{"kafka.tls.key_file", k.TLS.KeyFile},
		} {
			if file.value != "" {
				l.reject(file.path, "says nothing while kafka.tls.enabled is false")
			}
		}
	}
	if (k.TLS.CertFile == "") != (k.TLS.KeyFile == "") {
		path := "kafka.tls.cert_file"
		if k.TLS.CertFile == "" {
			path = "kafka.tls.key_file"
		}
		l.reject(path, "a client's certificate takes both kafka.tls.cert_file and kafka.tls.key_file")
	}
	l.checkSASL()
	if k.Profile == ProfileEventHubs {
		l.checkEventHubs()
	}
}

func (l *loader) checkSASL() {
	s := l.cfg.Kafka.SASL
	withPassword := s.Mechanism != "" && s.Mechanism != OAuthBearer
	for _, one := range []struct {
		path    string
		isSet   bool
		belongs bool
		to      string
	}{
		{"kafka.sasl.user", s.User != "", withPassword, "PLAIN and SCRAM"},
		{"kafka.sasl.password", s.Password.IsSet(), withPassword, "PLAIN and SCRAM"},
		{"kafka.sasl.token_file", s.TokenFile != "", s.Mechanism == OAuthBearer, "OAUTHBEARER"},
	} {
		mechanism := string(s.Mechanism)
		if mechanism == "" {
			mechanism = "not set"
		}
		if one.isSet && !one.belongs {
			l.reject(one.path, "belongs to %s, and kafka.sasl.mechanism is %s", one.to, mechanism)
		}
	}
	if withPassword && s.User == "" {
		l.reject("kafka.sasl.mechanism", "%s needs kafka.sasl.user", s.Mechanism)
	}
	if s.Mechanism == OAuthBearer && s.TokenFile == "" && l.cfg.Kafka.Profile != ProfileEventHubs {
		l.reject("kafka.sasl.mechanism", "OAUTHBEARER needs kafka.sasl.token_file; a token of Entra ID is asked for with kafka.profile eventhubs only")
	}
}

// checkEventHubs refuses what Event Hubs does not do.
func (l *loader) checkEventHubs() {
	k := l.cfg.Kafka
	if !k.TLS.Enabled {
		l.reject("kafka.tls.enabled", "Event Hubs answers encrypted connections only; remove it")
	}
	if k.SASL.Mechanism == ScramSHA256 || k.SASL.Mechanism == ScramSHA512 {
		l.reject("kafka.sasl.mechanism", "Event Hubs knows PLAIN, with a connection string, and OAUTHBEARER, with Entra ID")
	}
	if k.CreateTopics {
		l.reject("kafka.create_topics", "event hubs are made by ARM, az eventhubs eventhub create, or the portal, not by Kafka clients; remove it")
	}
	if k.Compression != CompressionNone && k.Compression != CompressionGzip {
		l.reject("kafka.compression", "Event Hubs takes none, and gzip from the Premium tier on")
	}
	if k.MaxMessageBytes > eventHubsMessage {
		l.reject("kafka.max_message_bytes", "%v is above what Event Hubs takes in one request, %v; larger documents go by claim check", k.MaxMessageBytes, eventHubsMessage)
	}
	if k.SessionTimeout < eventHubsSessionLow || k.SessionTimeout > eventHubsSessionHigh {
		l.reject("kafka.session_timeout", "Event Hubs takes %v to %v", eventHubsSessionLow, shortDuration(eventHubsSessionHigh))
	}
}
