package delta

import (
	"bytes"
	"errors"
	"fmt"
)

// check refuses actions that may not stand on top of s, and fills in the first version's protocol.
func (s *Snapshot) check(a Actions) (Actions, error) {
	if s.Version < 0 {
		if a.Metadata == nil {
			return a, errors.New("commit version 0: a table begins with its metadata")
		}
		if a.Protocol == nil {
			a.Protocol = &Protocol{MinReader: 1, MinWriter: 2}
		}
	}
	if a.Protocol != nil {
		if _, err := a.Protocol.wire().protocol(); err != nil {
			return a, fmt.Errorf("commit version %d: %w", s.Version+1, err)
		}
	}
	for _, err := range []error{s.checkTable(a), s.checkTxns(a.Txns), s.checkFiles(a), s.checkSweep(a.Adds)} {
		if err != nil {
			return a, fmt.Errorf("commit version %d: %w", s.Version+1, err)
		}
	}
	return a, nil
}

// checkTable upholds what writer version 2 must: append-only tables and column invariants.
func (s *Snapshot) checkTable(a Actions) error {
	metadata := s.Metadata
	if a.Metadata != nil {
		metadata = *a.Metadata
	}
	if bytes.Contains(metadata.Schema, []byte(`"delta.invariants"`)) {
		return &UnsupportedError{Property: "column invariants (delta.invariants in its schema)"}
	}
	if metadata.Configuration["delta.appendOnly"] != "true" {
		return nil
	}
	for _, r := range a.Removes {
		if r.DataChange {
			return fmt.Errorf("remove %s: the table is append-only (delta.appendOnly)", r.Path)
		}
	}
	return nil
}

func (s *Snapshot) checkTxns(txns []Txn) error {
	seen := make(map[string]struct{}, len(txns))
	for _, t := range txns {
		if _, twice := seen[t.AppID]; twice {
			return fmt.Errorf("txn of %s stands twice", t.AppID)
		}
		seen[t.AppID] = struct{}{}
		if before, ok := s.Txns[t.AppID]; ok && t.AppID == SweepAppID && t.Version < before {
			return fmt.Errorf("sweep horizon %d lies before %d: it only grows", t.Version, before)
		}
	}
	return nil
}

// checkFiles refuses a path that stands twice, a remove of what is not live, and an add of what is; the latter two only
// where the snapshot holds files.
func (s *Snapshot) checkFiles(a Actions) error {
	seen := make(map[string]struct{}, len(a.Adds)+len(a.Removes))
	once := func(path string) error {
		if _, twice := seen[path]; twice {
			return fmt.Errorf("file %s stands twice", path)
		}
		seen[path] = struct{}{}
		return nil
	}
	for _, r := range a.Removes {
		if err := once(r.Path); err != nil {
			return err
		}
		if _, live := s.File(r.Path); !live && !s.opts.WithoutFiles {
			return fmt.Errorf("remove %s: it is not part of the table at version %d", r.Path, s.Version)
		}
	}
	for _, add := range a.Adds {
		if err := once(add.Path); err != nil {
			return err
		}
		if _, live := s.File(add.Path); live {
			return fmt.Errorf("add %s: it is part of the table at version %d already", add.Path, s.Version)
		}
		if add.Path == "" || add.Size <= 0 || add.Modified.IsZero() {
			return fmt.Errorf("add %q: path, size and the store's modification time are required", add.Path)
		}
	}
	return nil
}

// checkSweep is the writer's half of the sweep barrier (INV-8).
func (s *Snapshot) checkSweep(adds []Add) error {
	var swept []Add
	for _, add := range adds {
		if s.Swept(add.Modified) {
			swept = append(swept, add)
		}
	}
	if len(swept) == 0 {
		return nil
	}
	return &SweptError{Horizon: s.SweepHorizon(), Adds: swept}
}
