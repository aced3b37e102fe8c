package config_test

import (
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// TestRoots: what is no root here, though it is one elsewhere, is named for what it is.
func TestRoots(t *testing.T) {
	const unknown, expanded = "is not known; want az://ACCOUNT/CONTAINER or a folder", "~ and $ are not expanded here; write the folder's path out"
	for root, want := range map[string]string{
		"az://sky/archive/a":                         "",
		"https://sky.blob.core.windows.net/archive":  "",
		"file:///srv/~/archive":                      "",
		"/srv/a$b":                                   "",
		"~backup":                                    "",
		"abfss://archive@sky.dfs.core.windows.net/a": "scheme abfss " + unknown,
		"s3://bucket/archive":                        "scheme s3 " + unknown,
		"~/archive":                                  expanded,
		"$HOME/archive":                              expanded,
		"${HOME}/archive":                            expanded,
		"https://sky.blob.core.windows.net/archive?sig=s3cr3t": "a shared access signature goes into archive.sas",
	} {
		for _, key := range []string{"archive", "producer"} {
			_, err := config.Parse("almanac.yaml", []byte(key+": {root: '"+root+"'}\n"), nil, nil)
			if want == "" && err != nil {
				t.Errorf("%s: got %v want no error", root, err)
			}
			if want != "" && (err == nil || !strings.Contains(err.Error(), "almanac.yaml:1: "+key+".root: ") ||
				strings.Count(err.Error(), want) != 1 || strings.Contains(err.Error(), "s3cr3t")) {
				t.Errorf("%s: got %v want %q once", root, err, want)
			}
		}
	}
}

// TestByteOrderMark: editors of Windows begin a file with one.
func TestByteOrderMark(t *testing.T) {
	cfg, err := config.Parse("almanac.yaml", []byte("\ufeffarchive: {root: /srv}\n"), nil, nil)
	if err != nil || cfg.Archive.Root != "/srv" {
		t.Errorf("got %v, %v want /srv", cfg, err)
	}
	_, err = config.Parse("almanac.yaml", []byte("\xff\xfea\x00:\x00"), nil, nil)
	if err == nil || err.Error() != "almanac.yaml: is written in UTF-16; save it as UTF-8" {
		t.Errorf("got %v want its encoding", err)
	}
}
