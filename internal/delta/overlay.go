package delta

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// overlay is what a run of versions changes, the last word on each thing: laid over the state below the run it gives the
// state above. Its size is that of the run.
type overlay struct {
	protocol *wireProtocol
	raised   int64 // the version that the protocol is of; 0 where a checkpoint tells it
	metadata *Metadata
	txns     map[string]wireTxn
	files    map[string]change // by unescaped path
	last     int64             // version
	tip      blob.Info         // of the last version's file
}

// change is what became of a file: exactly one of the two is set.
type change struct {
	add    *wireAdd
	remove *wireRemove
}

func newOverlay(base int64) *overlay {
	return &overlay{txns: make(map[string]wireTxn), files: make(map[string]change), last: base}
}

// apply takes a version's removes first: its actions have no order, and a file that only gets or loses a deletion vector
// is removed and added under one path.
func (o *overlay) apply(version int64, lines []wireLine) error {
	for _, removes := range []bool{true, false} {
		for _, line := range lines {
			if (line.Remove != nil) != removes {
				continue
			}
			if err := o.applyLine(line); err != nil {
				return fmt.Errorf("apply version %d: %w", version, err)
			}
			if line.Protocol != nil {
				o.raised = version
			}
		}
	}
	o.last = version
	return nil
}

func (o *overlay) applyLine(line wireLine) error {
	switch {
	case line.Protocol != nil:
		o.protocol = line.Protocol // what matters is the last one: an upgrade can be undone
	case line.MetaData != nil:
		metadata, err := line.MetaData.metadata()
		if err != nil {
			return err
		}
		o.metadata = &metadata
	case line.Txn != nil:
		o.txns[line.Txn.AppID] = *line.Txn
	case line.Add != nil:
		path, err := unescapePath(line.Add.Path)
		if err != nil {
			return err
		}
		o.files[path] = change{add: line.Add}
	case line.Remove != nil:
		path, err := unescapePath(line.Remove.Path)
		if err != nil {
			return err
		}
		o.files[path] = change{remove: line.Remove}
	}
	return nil
}

// over is the snapshot that results from the overlay upon s, which stays as it is.
func (o *overlay) over(s *Snapshot) (*Snapshot, error) {
	next := *s
	next.Version = o.last
	if o.tip.Name != "" {
		next.Checked, next.seen = o.tip.Now, o.tip
	}
	if o.protocol != nil {
		var err error
		if next.Protocol, err = o.protocol.protocol(); err != nil {
			next.unsupported = unsupportedSince(err, o.raised)
		} else {
			next.unsupported = nil
		}
	}
	if o.metadata != nil {
		next.Metadata = *o.metadata
	}
	if len(o.txns) > 0 {
		next.txns = maps.Clone(s.txns)
		if next.txns == nil {
			next.txns = make(map[string]wireTxn, len(o.txns))
		}
		maps.Copy(next.txns, o.txns)
		next.Txns = make(map[string]int64, len(next.txns))
		for app, t := range next.txns {
			next.Txns[app] = t.Version
		}
	}
	if s.opts.WithoutFiles || len(o.files) == 0 || next.unsupported != nil {
		return &next, nil
	}
	var err error
	next.Files, err = o.mergeFiles(s.Files, s.opts.keep)
	return &next, err
}

// mergeFiles makes the live files from those below, both in the order of their paths.
func (o *overlay) mergeFiles(below []Add, keep func(Add) bool) ([]Add, error) {
	changed := make([]Add, 0, len(o.files))
	for path, c := range o.files {
		if c.add == nil {
			continue
		}
		add, err := c.add.add()
		if err != nil {
			return nil, fmt.Errorf("read add of %s: %w", path, err)
		}
		if keep(add) {
			changed = append(changed, add)
		}
	}
	sortAdds(changed)
	files := make([]Add, 0, len(below)+len(changed))
	for _, add := range below {
		for len(changed) > 0 && changed[0].Path < add.Path {
			files, changed = append(files, changed[0]), changed[1:]
		}
		if _, touched := o.files[add.Path]; !touched {
			files = append(files, add)
		}
	}
	return append(files, changed...), nil
}

func sortAdds(adds []Add) {
	slices.SortFunc(adds, func(a, b Add) int { return strings.Compare(a.Path, b.Path) })
}
