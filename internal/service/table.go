package service

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes rows with their columns aligned; the first one is the heading. An empty row is an empty line.
func Table(w io.Writer, rows [][]string) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(out, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return out.Flush()
}
