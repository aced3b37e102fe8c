package oracle

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// stateRow is a row of `state` as it stands in a Parquet file, as far as it is judged.
type stateRow struct {
	PartitionKey string `parquet:"partition_key"`
	ID           string `parquet:"id"`
	Document     string `parquet:"document,optional"`
}

// ReadState reads the `state` table of one incarnation: the digests of the users' bytes of the newest snapshot. Rows
// that are not sorted by (partition_key, id), or ranges of files that are not disjoint, are findings.
func ReadState(root, topic, container, incarnation string, report *Report) (map[Doc]string, error) {
	dir := filepath.Join(root, topic, "containers", url.PathEscape(container), url.PathEscape(incarnation), "state")
	table, err := ReadTable(dir, report)
	if err != nil {
		return nil, err
	}
	table.CheckFiles(report)
	content := map[Doc]string{}
	var spans [][2]Doc
	for _, name := range slices.Sorted(maps.Keys(table.Active)) {
		first, last, err := readStateFile(filepath.Join(dir, filepath.FromSlash(name)), content, report)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		spans = append(spans, [2]Doc{first, last})
	}
	slices.SortFunc(spans, func(x, y [2]Doc) int { return compareDocs(x[0], y[0]) })
	for i := 1; i < len(spans); i++ {
		if compareDocs(spans[i-1][1], spans[i][0]) >= 0 {
			report.Add("state", "%s: two files overlap at %v", dir, spans[i][0])
		}
	}
	return content, nil
}

func compareDocs(x, y Doc) int {
	return cmp.Or(cmp.Compare(x.PK, y.PK), cmp.Compare(x.ID, y.ID))
}

func readStateFile(path string, content map[Doc]string, report *Report) (first, last Doc, err error) {
	file, err := os.Open(path)
	if err != nil {
		return first, last, err
	}
	defer func() { _ = file.Close() }() // only read
	reader := parquet.NewGenericReader[stateRow](file)
	defer func() { _ = reader.Close() }()
	batch := make([]stateRow, 256)
	for begun := false; ; {
		n, err := reader.Read(batch)
		for i := range batch[:n] {
			raw := Doc{batch[i].PartitionKey, batch[i].ID}
			switch {
			case !begun:
				first, begun = raw, true
			case compareDocs(last, raw) >= 0:
				report.Add("state", "%s is not sorted at %v", path, raw)
			}
			last = raw
			doc := raw
			var bad error
			if doc.PK, bad = normal(raw.PK); bad != nil {
				return first, last, bad
			}
			user, bad := User([]byte(batch[i].Document))
			if bad != nil {
				report.Add("state", "%s %s: %v", raw.PK, raw.ID, bad)
			}
			content[doc] = Digest(user)
		}
		clear(batch)
		if errors.Is(err, io.EOF) {
			return first, last, nil
		}
		if err != nil {
			return first, last, err
		}
	}
}
