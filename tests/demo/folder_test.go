package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFolderIsOneRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	left := filepath.Join(dir, "archive", "file")
	leave := func() error { return nil }
	release, err := openFolder(dir, leave)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(left), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(dir, leave); err == nil {
		t.Error("got no error for a folder that another run has")
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("a refused run took a file away: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	leave = func() error {
		_, err := os.Stat(left)
		return err
	}
	if release, err = openFolder(dir, leave); err != nil {
		t.Fatalf("got %v want the folder, and its files until whoever works there has left", err)
	}
	defer func() { _ = release() }()
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("got error %v for a file of the run before, want that it is gone", err)
	}
}
