package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The file is read from its syntax tree, not decoded into structs: every value
// then has its line, an unknown key its neighbours, and a scalar the very
// characters that stand in the file (YAML would read 1.0 and 1 as one number).

// file reads the YAML text.
func (l *loader) file(text []byte) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		l.problem(l.cfg.path, "", "is written in UTF-16; save it as UTF-8")
		return
	}
	tree, err := parser.ParseBytes(bytes.TrimPrefix(text, []byte("\ufeff")), 0) // a byte order mark is no text
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			l.problem(fmt.Sprintf("%s:%d", l.cfg.path, at.Line), "", "column %d: %s", at.Column, syntax.GetMessage())
			return
		}
		l.problem(l.cfg.path, "", "%v", err)
		return
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			l.problem(l.at(doc.Body), "", "a second document; one file holds one configuration")
			return
		}
		body = doc.Body
	}
	if body == nil {
		return // nothing but comments: defaults
	}
	for _, entry := range l.mapping(body, "configuration") {
		section, _ := l.key(entry)
		switch {
		case section == "containers":
			l.containers(entry.Value)
		case slices.Contains(l.sections(), section):
			l.section(section, entry.Value)
		default:
			l.unknown(entry, "", append(l.sections(), "containers"))
		}
	}
}

// at is the place of a node as file:line.
func (l *loader) at(node ast.Node) string {
	if first := node.GetToken(); first != nil && first.Position != nil {
		return fmt.Sprintf("%s:%d", l.cfg.path, first.Position.Line)
	}
	return l.cfg.path
}

// mapping returns the entries of a mapping; a section of which all keys are
// commented out is empty.
func (l *loader) mapping(node ast.Node, key string) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return nil
	}
	l.problem(l.at(node), key, "%s, want keys with values", l.describe(node))
	return nil
}

// key returns the word before the colon and its place.
func (l *loader) key(entry *ast.MappingValueNode) (name, where string) {
	return entry.Key.GetToken().Value, l.at(entry.Key)
}

// unknown reports a key that does not exist below the parent, with the nearest
// one that does; a key that exists under another section is found there.
func (l *loader) unknown(entry *ast.MappingValueNode, parent string, siblings []string) {
	name, where := l.key(entry)
	path := strings.TrimPrefix(parent+"."+name, ".")
	near, edits := nearest(name, siblings)
	near = strings.TrimPrefix(parent+"."+near, ".")
	for _, other := range slices.Sorted(maps.Keys(l.settings)) {
		if leaf := other[strings.LastIndex(other, ".")+1:]; leaf == name && edits > 0 {
			near, edits = other, 0
		}
	}
	l.problem(where, path, "unknown key; nearest known key: %s", near)
}

func (l *loader) sections() []string {
	var out []string
	for _, setting := range Settings() {
		section, _, _ := strings.Cut(setting.Path, ".")
		if !slices.Contains(out, section) {
			out = append(out, section)
		}
	}
	return out
}

// section reads the keys of one section, and of the sections in it.
func (l *loader) section(section string, node ast.Node) {
	for _, entry := range l.mapping(node, section) {
		name, where := l.key(entry)
		path := section + "." + name
		siblings := l.keysOf(section)
		setting, ok := l.settings[path]
		switch {
		case ok:
			l.setting(setting, entry.Value, where)
		case slices.Contains(siblings, name):
			l.section(path, entry.Value)
		default:
			l.unknown(entry, section, siblings)
		}
	}
}

// keysOf are the keys of a section, in order: its settings and its sections.
func (l *loader) keysOf(section string) []string {
	var keys []string
	for _, path := range slices.Sorted(maps.Keys(l.settings)) {
		rest, ok := strings.CutPrefix(path, section+".")
		key, _, _ := strings.Cut(rest, ".")
		if ok && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// setting reads one value of the kind that the setting wants.
func (l *loader) setting(setting Setting, node ast.Node, where string) {
	switch setting.typ {
	case reflect.TypeFor[Secret]():
		l.secret(setting, node, where)
		return
	case reflect.TypeFor[[]string]():
		l.list(setting, node, where)
		return
	}
	text, ok := stringOf(node)
	switch n := node.(type) {
	case *ast.IntegerNode:
		if setting.typ.Kind() == reflect.Int || setting.typ.Kind() == reflect.Int64 {
			text, ok = n.GetToken().Value, true
		}
	case *ast.BoolNode:
		if setting.typ.Kind() == reflect.Bool {
			text, ok = strconv.FormatBool(n.Value), true
		}
	}
	if !ok {
		l.problem(where, setting.Path, "%s, want %s", l.describe(node), setting.want())
		return
	}
	l.set(setting, text, where)
}

func (l *loader) list(setting Setting, node ast.Node, where string) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		l.problem(where, setting.Path, "%s, want a list, in brackets: [a, b]", l.describe(node))
		return
	}
	entries := make([]string, 0, len(sequence.Values))
	for _, value := range sequence.Values {
		text, ok := stringOf(value)
		if !ok {
			l.problem(l.at(value), setting.Path, "%s, want a string; text with a colon may need quotation marks", l.describe(value))
			return
		}
		entries = append(entries, text)
	}
	if err := setting.setList(l.cfg, entries); err != nil {
		l.problem(where, setting.Path, "%v", err)
		return
	}
	l.cfg.origins[setting.Path] = where
}

// secret reads a string, {env: NAME} or {file: PATH}.
func (l *loader) secret(setting Setting, node ast.Node, where string) {
	var value Secret
	text, ok := stringOf(node)
	entries := []*ast.MappingValueNode(nil)
	if !ok {
		if mapping, is := node.(*ast.MappingNode); is {
			entries = mapping.Values
		}
		if len(entries) != 1 {
			l.problem(where, setting.Path, "want a string, {env: NAME} or {file: PATH}")
			return
		}
		name, at := l.key(entries[0])
		reference, ok := stringOf(entries[0].Value)
		if !ok || reference == "" {
			l.problem(at, setting.Path+"."+name, "want a string")
			return
		}
		switch name {
		case "env":
			value = l.secretOfVariable(setting, reference)
		case "file":
			value = Secret{setting: setting.Path, path: reference}
		default:
			l.unknown(entries[0], setting.Path, []string{"env", "file"})
			return
		}
		where += ", " + name + " " + reference
	} else {
		value = NewSecret(text)
	}
	reflect.ValueOf(l.cfg).Elem().FieldByIndex(setting.index).Set(reflect.ValueOf(value))
	l.cfg.origins[setting.Path] = where
}

func (l *loader) secretOfVariable(setting Setting, name string) Secret {
	if l.env[name] == "" {
		return Secret{err: &ReferenceError{
			fmt.Errorf("read %s: environment variable %s is not set", setting.Path, name),
			fmt.Sprintf("set %s for this process, or give %s by {file: PATH}", name, setting.Path),
		}}
	}
	return NewSecret(l.env[name])
}

// secretOfFile drops one line end at the end of the file, as editors and
// `kubectl create secret --from-file` leave one.
func secretOfFile(setting, path string) Secret {
	text, err := ReadFile(setting, path)
	if err != nil {
		return Secret{err: err}
	}
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" {
		return Secret{err: &ReferenceError{fmt.Errorf("read %s: %s is empty", setting, path), "write the secret into it"}}
	}
	return NewSecret(value)
}

// stringOf returns the text of a string node.
func stringOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// scalarOf returns the JSON text of a scalar node, a number in its own digits.
// The parser takes a number beyond float64 (1e400) for text; without quotes it
// is a number all the same.
func scalarOf(node ast.Node) (json.RawMessage, bool) {
	var text []byte
	switch n := node.(type) {
	case *ast.StringNode:
		if n.Token.Type == token.StringType && strings.Trim(n.Value, "+-.eE0123456789") == "" && json.Valid([]byte(n.Value)) {
			return json.RawMessage(n.Value), true
		}
		text, _ = json.Marshal(n.Value)
	case *ast.LiteralNode:
		text, _ = json.Marshal(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode:
		text = []byte(n.GetToken().Value)
	case *ast.BoolNode:
		text, _ = json.Marshal(n.Value)
	case *ast.NullNode:
		text = []byte("null")
	}
	return text, json.Valid(text)
}

// describe says what stands in the file where something else was wanted.
func (l *loader) describe(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "has no value"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "is a mapping"
	case *ast.SequenceNode:
		return "is a list"
	case *ast.BoolNode:
		return node.String() + " is a boolean"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value + " is a number"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return node.String() + ": anchors, aliases and tags are not read here"
	}
	return fmt.Sprintf("%q is text", node.String())
}
