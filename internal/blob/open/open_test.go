package open_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/blob/open"
	"github.com/cosmos-almanac/almanac/internal/config"
)

func TestRoot(t *testing.T) {
	folder := t.TempDir()
	key := config.Archive{AccountKey: config.NewSecret("a2V5")}
	for _, test := range []struct {
		root        string
		credentials config.Archive
		want        string
	}{
		{folder, config.Archive{}, folder},
		{folder, key, folder},
		{"file://" + folder, config.Archive{}, folder},
		{"az://sky/archive/a", key, "https://sky.blob.core.windows.net/archive/a"},
		{"az://sky/archive", config.Archive{SAS: config.NewSecret("sig=x")}, "https://sky.blob.core.windows.net/archive"},
		{"az://sky/archive", config.Archive{ConnectionString: config.NewSecret("AccountName=sky;AccountKey=a2V5;EndpointSuffix=x.y")}, "https://sky.blob.x.y/archive"},
		{"http://127.0.0.1:10000/devstoreaccount1/archive", key, "http://127.0.0.1:10000/devstoreaccount1/archive"},
		{"az://sky/archive", config.Archive{}, "https://sky.blob.core.windows.net/archive"},
	} {
		s, err := open.Root(test.root, test.credentials)
		if got := whereOf(s); err != nil || got != test.want {
			t.Errorf("%s: got %s, %v want %s", test.root, got, err, test.want)
		}
	}
}

func whereOf(s blob.Store) string {
	switch s := s.(type) {
	case *dir.Store:
		return s.Root()
	case *azure.Store:
		return s.Location().String()
	}
	return "none"
}

func TestRootRefuses(t *testing.T) {
	for root, want := range map[string]string{
		"":                                   "it is empty",
		filepath.Join(t.TempDir(), "absent"): "absent",
		"s3://bucket/archive":                `scheme "s3" is not known`,
		"file://host/path":                   "want file:///path",
		"az://sky":                           "is no container's name",
		"abfss://a@b.dfs.x/archive":          "write az://account/container/prefix",
	} {
		_, err := open.Root(root, config.Archive{})
		var coded interface{ ExitCode() int }
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &coded) || coded.ExitCode() != 2 {
			t.Errorf("%q: got %v want %q and exit code 2", root, err, want)
		}
	}
}
