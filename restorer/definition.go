package restorer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Stripped is a member of the archived definition that a creation cannot carry.
type Stripped struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// member is one of a JSON object, its value as it stood.
type member struct {
	name  string
	value json.RawMessage
}

// targetDefinition turns the archived resource of a container into what creates another one of that kind under id. The
// values of all members that stay are byte for byte those of the resource.
func targetDefinition(resource []byte, id string) ([]byte, []Stripped, error) {
	members, err := parseMembers(resource)
	if err != nil {
		return nil, nil, fmt.Errorf("read archived definition: %w", err)
	}
	name, err := json.Marshal(id)
	if err != nil {
		return nil, nil, fmt.Errorf("encode container name: %w", err)
	}
	stay := []member{{"id", name}}
	var stripped []Stripped
	for _, m := range members {
		switch {
		case m.name == "id":
		case strings.HasPrefix(m.name, "_"):
			stripped = append(stripped, Stripped{m.name, "the service's own"})
		case m.name == "restoreParameters" || m.name == "createMode":
			stripped = append(stripped, Stripped{m.name, "says how the source itself was made"})
		case m.name == "changeFeedPolicy":
			rest, dropped, err := withoutRetention(m.value)
			if err != nil {
				return nil, nil, fmt.Errorf("read archived definition: changeFeedPolicy: %w", err)
			}
			if dropped {
				stripped = append(stripped, Stripped{
					"changeFeedPolicy.retentionDuration",
					"accounts with continuous backup refuse it in a creation; their own retention holds",
				})
			}
			if rest != nil {
				stay = append(stay, member{m.name, rest})
			}
		default:
			stay = append(stay, m)
		}
	}
	return encodeMembers(stay), stripped, nil
}

// withoutRetention drops retentionDuration; nil is an empty policy.
func withoutRetention(policy json.RawMessage) (rest json.RawMessage, dropped bool, err error) {
	if string(policy) == "null" {
		return nil, false, nil
	}
	members, err := parseMembers(policy)
	if err != nil {
		return nil, false, err
	}
	var stay []member
	for _, m := range members {
		if m.name == "retentionDuration" {
			dropped = true
			continue
		}
		stay = append(stay, m)
	}
	if !dropped {
		return policy, false, nil
	}
	if len(stay) == 0 {
		return nil, true, nil
	}
	return encodeMembers(stay), true, nil
}

func parseMembers(object []byte) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	var members []member
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: fmt.Sprint(token)}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	return members, nil
}

func encodeMembers(members []member) []byte {
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil { // a string always encodes
			panic(err)
		}
		out = append(append(append(out, name...), ':'), m.value...)
	}
	return append(out, '}')
}

// differences compares the definition that a run would create with that of a container that is there. fatal are settings
// that decide what the container does with documents and cannot be changed later, or that would delete them.
func definitionDifferences(want, have []byte) (fatal, other []string, err error) {
	w, err := parseMembers(want)
	if err != nil {
		return nil, nil, fmt.Errorf("compare definitions: %w", err)
	}
	h, err := parseMembers(have)
	if err != nil {
		return nil, nil, fmt.Errorf("compare definitions: %w", err)
	}
	there := map[string]any{}
	for _, m := range h {
		there[m.name] = meaning(m)
	}
	decisive := map[string]bool{"partitionKey": true, "uniqueKeyPolicy": true, "defaultTtl": true}
	seen := map[string]bool{"id": true}
	note := func(name string) {
		if decisive[name] {
			fatal = append(fatal, name)
		} else {
			other = append(other, name)
		}
	}
	for _, m := range w {
		if seen[m.name] {
			continue
		}
		seen[m.name] = true
		if !reflect.DeepEqual(meaning(m), there[m.name]) {
			note(m.name)
		}
	}
	for _, m := range h {
		if !seen[m.name] && decisive[m.name] && there[m.name] != nil {
			note(m.name)
		}
	}
	return fatal, other, nil
}

// meaning is a member's value for comparison; nil is the same as absence.
func meaning(m member) any {
	decoder := json.NewDecoder(bytes.NewReader(m.value))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return string(m.value)
	}
	if policy, ok := v.(map[string]any); ok && m.name == "uniqueKeyPolicy" {
		if keys, ok := policy["uniqueKeys"].([]any); !ok || len(keys) == 0 {
			return nil // the service lists an empty policy where none was given
		}
	}
	return v
}
