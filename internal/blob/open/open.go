// Package open turns what almanac.yaml says of a root into a store. It is the one place that knows every kind of store
// that a program may be given.
//
// A *root* is the text of archive.root or producer.root: a folder, or a location in Azure Blob Storage
// (az://account/container/prefix, or its https form).
package open

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/config"
)

// Error is a root or a credential that cannot be used as it stands in the configuration.
type Error struct{ Err error }

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is 2: usage or configuration.
func (e *Error) ExitCode() int { return 2 }

// Root opens the store at a root. The credentials are those of `archive` for every root; a folder needs none, and must be
// there. Of a location nothing is asked yet.
func Root(root string, credentials config.Archive) (blob.Store, error) {
	return open(root, credentials, func(path string) (*dir.Store, error) { return dir.New(path, dir.Options{}) })
}

// Writable is Root for a program that writes: a folder in which it may not is an error at once.
func Writable(root string, credentials config.Archive) (blob.Store, error) {
	return open(root, credentials, func(path string) (*dir.Store, error) { return dir.NewWritable(path, dir.Options{}) })
}

func open(root string, credentials config.Archive, folder func(path string) (*dir.Store, error)) (blob.Store, error) {
	scheme, rest, ok := strings.Cut(root, "://")
	switch {
	case root == "":
		return nil, &Error{errors.New("open root: it is empty; want a folder, or az://account/container/prefix")}
	case !ok:
		return orNone(folder(root))
	}
	switch scheme {
	case "file":
		u, err := url.Parse(root)
		if err != nil || u.Host != "" || u.Path == "" {
			return nil, &Error{fmt.Errorf("open %s: want file:///path/of/a/folder", root)}
		}
		return orNone(folder(u.Path))
	case "az", "https", "http":
		at, err := azure.ParseLocation(root)
		if err != nil {
			return nil, err
		}
		return orNone(azure.New(at, azure.Options{
			ConnectionString: credentials.ConnectionString, AccountKey: credentials.AccountKey, SAS: credentials.SAS, AllowHTTP: credentials.AllowHTTP,
		}))
	case "abfss", "abfs", "wasbs", "wasb":
		return nil, &Error{fmt.Errorf("open %s://%s: %s is a name of Hadoop's; write az://account/container/prefix", scheme, rest, scheme)}
	}
	return nil, &Error{fmt.Errorf("open root: scheme %q is not known; want a folder, or az://account/container/prefix", scheme)}
}

// orNone keeps a nil pointer from becoming a store.
func orNone[S blob.Store](s S, err error) (blob.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
