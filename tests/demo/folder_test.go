package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFolderIsOneRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	release, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "archive", "file")
	if err := os.MkdirAll(filepath.Dir(left), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(dir); err == nil {
		t.Error("got no error for a folder that another run has")
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("a refused run took a file away: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if release, err = openFolder(dir); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release() }()
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("got error %v for a file of the run before, want that it is gone", err)
	}
}
