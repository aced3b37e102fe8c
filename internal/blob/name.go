package blob

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxName    = 1024 // Azure's limit
	maxSegment = 255  // what file systems take
)

// CheckName refuses names that some store could not keep, or that would lead out of it.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("check object name: it is empty")
	}
	if len(name) > maxName {
		return fmt.Errorf("check object name %.40q…: it has %d bytes, at most %d are kept", name, len(name), maxName)
	}
	if err := checkBytes(name); err != nil {
		return err
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("check object name %q: segment %q is not allowed", name, segment)
		}
		if len(segment) > maxSegment {
			return fmt.Errorf("check object name %.40q…: a segment has %d bytes, at most %d are kept", name, len(segment), maxSegment)
		}
	}
	return nil
}

// CheckPrefix refuses prefixes with which no name can begin.
func CheckPrefix(prefix string) error {
	folder, _, found := cutLast(prefix, "/")
	if found {
		return CheckName(folder)
	}
	return checkBytes(prefix)
}

func checkBytes(name string) error {
	if !utf8.ValidString(name) {
		return fmt.Errorf("check object name %q: it is not UTF-8", name)
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || r == '\\' {
			return fmt.Errorf("check object name %q: character %q is not allowed", name, r)
		}
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}
