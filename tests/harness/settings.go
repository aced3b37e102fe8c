package harness

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Container is one that is archived, or the target of a restore.
type Container struct {
	Database   string
	ID         string
	Key        []string // partition key paths; several are hierarchical
	Ranges     int
	Topic      string // empty: one of its own, by the default template
	Start      string // beginning (the default) or now
	Deletes    string // none or soft; soft is {"deleted": true}
	Definition string // further members of the resource, such as `"indexingPolicy":{…}`
}

// Name is database.container.
func (c Container) Name() string { return c.Database + "." + c.ID }

// Kind is the partition key's kind.
func (c Container) Kind() string {
	if len(c.Key) > 1 {
		return "MultiHash"
	}
	return "Hash"
}

// TopicName is the topic that its changes go to.
func (c Container) TopicName() string {
	if c.Topic != "" {
		return c.Topic
	}
	return "cosmos." + c.Name()
}

func (c Container) link() string { return "dbs/" + c.Database + "/colls/" + c.ID }

func (c Container) resource() []byte {
	more := c.Definition
	if more != "" {
		more = "," + more
	}
	return fmt.Appendf(nil, `{"id":%q,"partitionKey":{"paths":["%s"],"kind":%q,"version":2}%s}`,
		c.ID, strings.Join(c.Key, `","`), c.Kind(), more)
}

// Settings are keys of almanac.yaml by path, such as "archiver.flush_interval".
type Settings map[string]string

// FastSettings let things happen within tenths of a second, so that a run of a minute sees what a day sees.
func FastSettings() Settings {
	return Settings{
		"kafka.session_timeout":             "2s",
		"producer.poll_interval":            "50ms",
		"producer.page_size":                "100",
		"producer.settle":                   "1s",
		"producer.mark_interval":            "300ms",
		"producer.idle_mark_interval":       "1s",
		"producer.checkpoint_interval":      "200ms",
		"producer.idle_checkpoint_interval": "1s",
		"producer.definition_interval":      "5s",
		"producer.rewind_grace":             "20s",
		"archiver.flush_interval":           "300ms",
		"archiver.control_commit_interval":  "300ms",
		"compactor.snapshot_interval":       "2s",
		"service.log_format":                "text",
		"service.shutdown_grace":            "10s",
	}
}

// With returns the settings with others over them.
func (s Settings) With(over Settings) Settings {
	out := maps.Clone(s)
	maps.Copy(out, over)
	return out
}

// writeConfig writes almanac.yaml.
func writeConfig(path string, settings Settings, containers []Container) error {
	var b strings.Builder
	section := ""
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		head, name, _ := strings.Cut(key, ".")
		if head != section {
			fmt.Fprintf(&b, "%s:\n", head)
			section = head
		}
		fmt.Fprintf(&b, "  %s: %s\n", name, settings[key])
	}
	b.WriteString("containers:\n")
	for _, c := range containers {
		fmt.Fprintf(&b, "  - database: %s\n    container: %s\n", c.Database, c.ID)
		if c.Topic != "" {
			fmt.Fprintf(&b, "    topic: %s\n", c.Topic)
		}
		if c.Start != "" {
			fmt.Fprintf(&b, "    start: %s\n", c.Start)
		}
		fmt.Fprintf(&b, "    deletes: %s\n", c.Deletes)
		if c.Deletes == "soft" {
			b.WriteString("    soft_delete: { path: /deleted, value: true }\n")
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write almanac.yaml: %w", err)
	}
	return nil
}
