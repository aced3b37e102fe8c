// Package config is the one almanac.yaml of all four programs: every key, its
// default, its limits and where its value came from.
//
// Nouns. A setting is one key outside `containers`, named by its path
// (`kafka.session_timeout`, `kafka.tls.ca_file`); it is also the flag
// `--kafka-session-timeout` and the environment variable
// `ALMANAC_KAFKA_SESSION_TIMEOUT`. A section holds settings, and sections. An origin says
// where a value was taken from: flag over environment over file over default.
// A container is one Cosmos DB container with the topic it goes to.
//
// Guarantees. The struct tags below are the only table: flags, variables,
// defaults, limits and `config print` are derived from them. A Config that Load
// returned is complete and valid; whoever reads it checks nothing again. A key
// that is not known is an error. A secret never prints.
package config

import (
	"encoding/json"
	"sort"
	"time"
)

// Config is the effective configuration of a program. The tags of a setting:
// `yaml` its key, `default` its default, `min` and `max` its bounds (inclusive),
// `enum` the only words allowed, `help` what it is.
type Config struct {
	Cosmos     Cosmos      `yaml:"cosmos"`
	Kafka      Kafka       `yaml:"kafka"`
	Archive    Archive     `yaml:"archive"`
	Producer   Producer    `yaml:"producer"`
	Archiver   Archiver    `yaml:"archiver"`
	Compactor  Compactor   `yaml:"compactor"`
	Restorer   Restorer    `yaml:"restorer"`
	Service    Service     `yaml:"service"`
	Containers []Container `yaml:"containers"`

	path    string            // see Path
	origins map[string]string // by path of the key
}

// Cosmos is the account whose containers are kept.
type Cosmos struct {
	Endpoint string `yaml:"endpoint" help:"Address of the Cosmos DB account."`
	Key      Secret `yaml:"key" help:"Account key: a string, {env: NAME} or {file: PATH}."`
	CAFile   string `yaml:"ca_file" help:"PEM file with additional certificate authorities (emulators)."`
	Account  string `yaml:"account" help:"Name of the account in ce_source; default: first label of the endpoint's host."`
}

// Kafka is the cluster, or Event Hubs namespace, that carries the changes.
type Kafka struct {
	Brokers         []string      `yaml:"brokers" help:"Addresses of the first brokers to ask."`
	Profile         Profile       `yaml:"profile" default:"kafka" enum:"kafka,eventhubs" help:"What the brokers are: eventhubs keeps within the limits and protocol versions of Azure Event Hubs, and sets defaults for it."`
	TopicPrefix     string        `yaml:"topic_prefix" default:"cosmos" help:"First part of the default topic, {prefix}.{database}.{container}."`
	SessionTimeout  time.Duration `yaml:"session_timeout" default:"45s" min:"500ms" max:"30m" help:"Silence after which a group member is taken for dead."`
	MaxMessageBytes Bytes         `yaml:"max_message_bytes" default:"1000000" min:"16KiB" max:"20MiB" help:"Largest record; larger documents go by claim check. At most the broker's limit."`
	Compression     Compression   `yaml:"compression" enum:"none,gzip,snappy,lz4,zstd" help:"How records are compressed; default: snappy, and none with profile eventhubs, where gzip needs the Premium tier."`
	CreateTopics    bool          `yaml:"create_topics" default:"false" help:"Make topics that are missing, with the settings that they need; never with profile eventhubs."`
	TopicPartitions int           `yaml:"topic_partitions" default:"6" min:"1" max:"1024" help:"Partitions of topics that are made: so many processes can share the work."`
	Retention       time.Duration `yaml:"retention" default:"168h" min:"1h" max:"87600h" help:"How long topics keep records at least: topics are made with it, and check warns of less."`
	TLS             KafkaTLS      `yaml:"tls"`
	SASL            KafkaSASL     `yaml:"sasl"`
}

// Profile is a kind of brokers.
type Profile string

const (
	// ProfileKafka is Apache Kafka and what behaves as it does.
	ProfileKafka Profile = "kafka"
	// ProfileEventHubs is the Kafka endpoint of an Azure Event Hubs namespace.
	ProfileEventHubs Profile = "eventhubs"
)

// Compression is how records are compressed on their way to the brokers. Load has filled it.
type Compression string

// The codecs of Kafka.
const (
	CompressionNone   Compression = "none"
	CompressionGzip   Compression = "gzip"
	CompressionSnappy Compression = "snappy"
	CompressionLZ4    Compression = "lz4"
	CompressionZstd   Compression = "zstd"
)

// KafkaTLS encrypts the connections to the brokers.
type KafkaTLS struct {
	Enabled  bool   `yaml:"enabled" default:"false" help:"Encrypt connections; always with profile eventhubs."`
	CAFile   string `yaml:"ca_file" help:"PEM file with additional certificate authorities of the brokers."`
	CertFile string `yaml:"cert_file" help:"PEM file with this client's certificate, for brokers that ask for one; read again for every connection."`
	KeyFile  string `yaml:"key_file" help:"PEM file with the certificate's key; read again for every connection."`
}

// KafkaSASL proves to the brokers who connects.
type KafkaSASL struct {
	Mechanism Mechanism `yaml:"mechanism" enum:"PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER" help:"How to prove who connects; default: not at all. With profile eventhubs: PLAIN when a password is set, else OAUTHBEARER by Entra ID."`
	User      string    `yaml:"user" help:"User of PLAIN and SCRAM; default with profile eventhubs: $ConnectionString."`
	Password  Secret    `yaml:"password" help:"Password of PLAIN and SCRAM, with profile eventhubs the connection string: a string, {env: NAME} or {file: PATH}."`
	TokenFile string    `yaml:"token_file" help:"File with the token of OAUTHBEARER, read again for every connection; default with profile eventhubs: a token of Entra ID."`
}

// Mechanism is one of SASL's; empty is none.
type Mechanism string

// The mechanisms.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
	OAuthBearer Mechanism = "OAUTHBEARER"
)

// Archive is the storage that holds the history.
//
// The secrets are for Azure Blob Storage, at most one of them; with none, Entra ID is asked. They serve producer.root too.
type Archive struct {
	Root             string `yaml:"root" help:"Where the archive lies: a folder, az://account/container/prefix, or https://account.blob.core.windows.net/container/prefix."`
	ConnectionString Secret `yaml:"connection_string" help:"Connection string of the storage account: a string, {env: NAME} or {file: PATH}."`
	AccountKey       Secret `yaml:"account_key" help:"Access key of the storage account: a string, {env: NAME} or {file: PATH}."`
	SAS              Secret `yaml:"sas" help:"Shared access signature, without the URL before it: a string, {env: NAME} or {file: PATH}."`
	AllowHTTP        bool   `yaml:"allow_http" default:"false" help:"Let everybody on the way read signatures and all documents where a root's address is http and another machine's: for an emulator in a network of its own, such as Azurite in a container."`
}

// Producer reads change feeds and publishes them.
type Producer struct {
	Root                   string        `yaml:"root" help:"Where checkpoints, seeds and large documents lie, in a form of archive.root, which is the default."`
	Group                  string        `yaml:"group" default:"almanac-producer" help:"Prefix of the consumer group; the group of a topic is <group>.<topic>."`
	PollInterval           time.Duration `yaml:"poll_interval" default:"1s" min:"1ms" max:"10m" help:"Wait after a poll that found nothing new."`
	PageSize               int           `yaml:"page_size" default:"1000" min:"1" max:"10000" help:"Documents asked for per page (a hint to the service)."`
	Settle                 time.Duration `yaml:"settle" default:"10s" min:"0s" max:"1h" help:"Margin by which a mark's complete_to lies before the service's time: how far a replica may lag without being known to."`
	MarkInterval           time.Duration `yaml:"mark_interval" default:"10s" min:"10ms" max:"2m" help:"At most one mark per range in this span."`
	IdleMarkInterval       time.Duration `yaml:"idle_mark_interval" default:"60s" min:"10ms" max:"2m" help:"A mark this often when nothing changed."`
	CheckpointInterval     time.Duration `yaml:"checkpoint_interval" default:"15s" min:"10ms" max:"10m" help:"Checkpoint this long after a position moved with events."`
	IdleCheckpointInterval time.Duration `yaml:"idle_checkpoint_interval" default:"5m" min:"10ms" max:"1h" help:"Checkpoint this often when no events come."`
	DefinitionInterval     time.Duration `yaml:"definition_interval" default:"5m" min:"10ms" max:"1h" help:"Read the container's definition this often."`
	RewindGrace            time.Duration `yaml:"rewind_grace" default:"60s" min:"10ms" max:"1h" help:"A newest LSN below the position for this long begins a new generation."`
}

// Archiver writes the topics' records into Delta tables.
type Archiver struct {
	Group                 string        `yaml:"group" default:"almanac-archiver" help:"Consumer group."`
	FlushInterval         time.Duration `yaml:"flush_interval" default:"15s" min:"10ms" max:"1h" help:"Time between commits while records arrive."`
	FlushBytes            Bytes         `yaml:"flush_bytes" default:"64MiB" min:"64KiB" max:"1GiB" help:"Raw bytes that are buffered at most before a commit."`
	ControlCommitInterval time.Duration `yaml:"control_commit_interval" default:"1m" min:"10ms" max:"1h" help:"Time between commits while only control events arrive."`
}

// Compactor makes snapshots.
type Compactor struct {
	Memory           Bytes         `yaml:"memory" default:"256MiB" min:"8MiB" max:"1TiB" help:"Limit of the merge buffers."`
	SnapshotInterval time.Duration `yaml:"snapshot_interval" default:"1h" min:"10ms" max:"720h" help:"Time between snapshots of the newest exact point."`
	Spill            string        `yaml:"spill" help:"Folder of spilled runs; default: the system's folder for temporary files."`
}

// Restorer gives a moment back.
type Restorer struct {
	Memory      Bytes  `yaml:"memory" default:"256MiB" min:"8MiB" max:"1TiB" help:"Limit of the merge buffers."`
	Spill       string `yaml:"spill" help:"Folder of spilled runs; default: the system's folder for temporary files."`
	Concurrency int    `yaml:"concurrency" default:"8" min:"1" max:"256" help:"Writes in flight to the target container."`
}

// Service is the process frame.
type Service struct {
	Listen        string        `yaml:"listen" help:"Address of /metrics /healthz /readyz; empty: none; port 0: any, see addr in the log."`
	LogLevel      string        `yaml:"log_level" default:"info" enum:"debug,info,warn,error" help:"Least level that is logged."`
	LogFormat     string        `yaml:"log_format" enum:"text,json" help:"Format of the log; default: text on a terminal, json elsewhere."`
	ShutdownGrace time.Duration `yaml:"shutdown_grace" default:"30s" min:"10ms" max:"10m" help:"Time to finish after the first signal."`
}

// Deletes says how an application deletes documents, which the LatestVersion
// feed does not show.
type Deletes string

const (
	// DeletesNone declares that documents are never deleted.
	DeletesNone Deletes = "none"
	// DeletesSoft declares that a document is deleted by setting a property.
	DeletesSoft Deletes = "soft"
)

// Start says where a container's history begins.
type Start string

const (
	// StartBeginning reads everything that the container holds first.
	StartBeginning Start = "beginning"
	// StartNow reads only what changes from now on: history, never a restore point.
	StartNow Start = "now"
)

// Container is one Cosmos DB container. Load has filled Topic and Start.
type Container struct {
	Database   string      `yaml:"database" help:"Name of its database."`
	Container  string      `yaml:"container" help:"Its name."`
	Topic      string      `yaml:"topic" help:"Where its changes go; default: {kafka.topic_prefix}.{database}.{container}."`
	Start      Start       `yaml:"start" help:"beginning (the default), or now: history alone, never a restore point."`
	Deletes    Deletes     `yaml:"deletes" help:"How the application deletes documents: none (never) or soft (a property says so). Hard deletions leave no trace in the feed."`
	SoftDelete *SoftDelete `yaml:"soft_delete" help:"With deletes: soft, the property and its value: {path: /deleted, value: true}."` // set if and only if Deletes is DeletesSoft
}

// SoftDelete is the property and the value that mean "deleted".
type SoftDelete struct {
	Path  string          `yaml:"path"`  // "/deleted", "/meta/deleted"
	Value json.RawMessage `yaml:"value"` // one JSON scalar, numbers as they were written
}

// Path is the file that was read, as it was given.
func (c *Config) Path() string { return c.path }

// Name is `database.container`, unique in a Config.
func (c Container) Name() string { return c.Database + "." + c.Container }

// Topic is a topic and all containers whose changes it carries.
type Topic struct {
	Name       string
	Containers []Container // at least one, by name
}

// Topics groups the containers by topic, both in order of name.
func (c *Config) Topics() []Topic {
	by := map[string][]Container{}
	for _, one := range c.Containers {
		by[one.Topic] = append(by[one.Topic], one)
	}
	topics := make([]Topic, 0, len(by))
	for name, list := range by {
		sort.Slice(list, func(i, j int) bool { return list[i].Name() < list[j].Name() })
		topics = append(topics, Topic{Name: name, Containers: list})
	}
	sort.Slice(topics, func(i, j int) bool { return topics[i].Name < topics[j].Name })
	return topics
}
