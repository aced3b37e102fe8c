package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Programs are the names of the binaries, less their common prefix.
func Programs() []string { return []string{"producer", "archiver", "compactor", "restorer"} }

// Build compiles the programs into the folder.
func Build(ctx context.Context, folder string) error {
	root, err := Root()
	if err != nil {
		return fmt.Errorf("build programs: %w", err)
	}
	args := []string{"build", "-o", folder + string(filepath.Separator)}
	for _, program := range Programs() {
		args = append(args, "./"+program+"/cmd/almanac-"+program)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build programs: %w\n%s", err, out)
	}
	return nil
}

// Root is the folder of the workspace: the nearest one above the working directory that holds go.work.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find workspace: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("find workspace: no folder above the working directory holds go.work")
		}
		dir = up
	}
}
