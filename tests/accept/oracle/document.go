package oracle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// spliced is how the first of the service's properties stands behind the user's last one.
const spliced = `,"_rid":"`

// User returns the user's bytes of a document as the service delivered it. The service splices its properties in
// before the last brace, `_rid` first, so the last `_rid` ends the user's part.
func User(document []byte) ([]byte, error) {
	at := bytes.LastIndex(document, []byte(spliced))
	if at < 0 || !bytes.HasSuffix(document, []byte("}")) {
		return nil, errors.New("document carries no _rid before its last brace")
	}
	return append(bytes.Clone(document[:at]), '}'), nil
}

// Digest is the SHA-256 of the bytes in hexadecimal.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Identify returns a document's place in a container whose partition key has these paths, each one property deep.
func Identify(document []byte, paths []string) (Doc, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return Doc{}, fmt.Errorf("read document: %w", err)
	}
	values := make([]string, len(paths))
	for i, path := range paths {
		values[i] = "{}"
		if v, ok := members[strings.TrimPrefix(path, "/")]; ok {
			values[i] = string(v)
		}
	}
	var id string
	if err := json.Unmarshal(members["id"], &id); err != nil {
		return Doc{}, fmt.Errorf("read document's id: %w", err)
	}
	pk, err := normal("[" + strings.Join(values, ",") + "]")
	return Doc{PK: pk, ID: id}, err
}

// normal brings a partition key into one form of the oracle's own, so that two of them can be compared whatever
// escapes and number forms their writers preferred.
func normal(array string) (string, error) {
	values, err := keyValues(array)
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("write partition key: %w", err)
	}
	return string(out), nil
}
