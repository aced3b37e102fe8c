package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// WriteYAML prints the effective configuration as an almanac.yaml, each value
// with its origin as a comment and what it is above it, secrets masked.
func (c *Config) WriteYAML(w io.Writer) error {
	var out bytes.Buffer
	section := ""
	for _, setting := range Settings() {
		head, leaf, _ := strings.Cut(setting.Path, ".")
		if head != section {
			section = head
			fmt.Fprintf(&out, "%s:\n", section)
		}
		fmt.Fprintf(&out, "  # %s\n", setting.describe())
		line(&out, "  "+leaf, plain(setting.value(c)), c.origins[setting.Path])
	}
	describeContainers(&out)
	if len(c.Containers) == 0 {
		fmt.Fprintln(&out, "containers: []")
	} else {
		fmt.Fprintln(&out, "containers:")
	}
	for i, one := range c.Containers {
		mark := "  - "
		for _, field := range one.fields() {
			line(&out, mark+field.key, field.text, c.origins[fmt.Sprintf("containers[%d].%s", i, field.key)])
			mark = "    "
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// describe is the help of a setting and what it takes.
func (s Setting) describe() string {
	switch enum, least := s.tag.Get("enum"), s.tag.Get("min"); {
	case enum != "":
		return s.Help + " " + strings.ReplaceAll(enum, ",", ", ") + "."
	case least != "":
		return s.Help + " " + least + " to " + s.tag.Get("max") + "."
	}
	return s.Help
}

// describeContainers says once what the keys of every container are.
func describeContainers(out *bytes.Buffer) {
	fmt.Fprintln(out, "# The containers whose history is kept. Keys of each:")
	container := reflect.TypeFor[Container]()
	for i := range container.NumField() {
		tag := container.Field(i).Tag
		fmt.Fprintf(out, "#   %s: %s\n", tag.Get("yaml"), tag.Get("help"))
	}
}

func line(out *bytes.Buffer, key, value, origin string) {
	fmt.Fprintf(out, "%-48s # %s\n", key+": "+value, origin)
}

// plain writes a value so that the YAML above is read back as the same value.
func plain(value any) string {
	switch v := value.(type) {
	case time.Duration:
		return shortDuration(v)
	case Bytes:
		return v.String()
	case []string:
		if len(v) == 0 {
			return "[]"
		}
	}
	return jsonOf(value) // a JSON string, list or number is YAML too
}

// shortDuration drops the zero units that time.Duration prints: 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

type field struct {
	key, text string
}

func (c Container) fields() []field {
	out := []field{
		{"database", jsonOf(c.Database)},
		{"container", jsonOf(c.Container)},
		{"topic", jsonOf(c.Topic)},
		{"start", string(c.Start)},
		{"deletes", string(c.Deletes)},
	}
	if c.SoftDelete != nil {
		out = append(out, field{"soft_delete", fmt.Sprintf("{path: %s, value: %s}", jsonOf(c.SoftDelete.Path), c.SoftDelete.Value)})
	}
	return out
}

// MarshalJSON gives {"config": …, "origins": {"kafka.brokers": "--kafka-brokers", …}},
// durations and sizes in the form that the file takes, secrets masked.
func (c *Config) MarshalJSON() ([]byte, error) {
	tree := map[string]any{}
	for _, setting := range Settings() {
		head, leaf, _ := strings.Cut(setting.Path, ".")
		section, ok := tree[head].(map[string]any)
		if !ok {
			section = map[string]any{}
			tree[head] = section
		}
		switch value := setting.value(c).(type) {
		case time.Duration, Bytes:
			section[leaf] = plain(value)
		case []string:
			section[leaf] = append([]string{}, value...) // [], not null
		default:
			section[leaf] = value
		}
	}
	containers := make([]map[string]any, 0, len(c.Containers))
	for _, one := range c.Containers {
		entry := map[string]any{"database": one.Database, "container": one.Container, "topic": one.Topic, "start": one.Start, "deletes": one.Deletes}
		if one.SoftDelete != nil {
			entry["soft_delete"] = map[string]any{"path": one.SoftDelete.Path, "value": one.SoftDelete.Value}
		}
		containers = append(containers, entry)
	}
	tree["containers"] = containers
	return json.Marshal(map[string]any{"config": tree, "origins": c.origins})
}

// Origin says where the value of a setting was taken from: a flag, a variable,
// file and line, or "default".
func (c *Config) Origin(path string) string { return c.origins[path] }

// jsonOf is the JSON text of a string, list, number or secret.
func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "null" // none of these kinds can fail
	}
	return string(text)
}
