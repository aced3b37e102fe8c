package restorer

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/schemas"
)

// usage is an error of the command line or of what it names.
func usage(format string, args ...any) error { return service.Usage(fmt.Errorf(format, args...)) }

// table writes rows whose first is the heading, columns aligned.
func table(w io.Writer, rows [][]string) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(out, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return out.Flush()
}

// tableBelow writes a table after an empty line.
func tableBelow(w io.Writer, rows [][]string) error {
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return table(w, rows)
}

// facts writes pairs of a name and a value, aligned; a value of several lines continues below itself.
func facts(w io.Writer, pairs ...[2]string) error {
	var rows [][]string
	for _, pair := range pairs {
		for i, line := range strings.Split(pair[1], "\n") {
			if i > 0 {
				pair[0] = ""
			}
			rows = append(rows, []string{pair[0], line})
		}
	}
	return table(w, rows)
}

// grouped writes a number with thousands apart.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// sized writes a number of bytes in the unit that fits.
func sized(n int64) string {
	units := []string{"KB", "MB", "GB", "TB", "PB"}
	v := float64(n)
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	unit := -1
	for v >= 1000 && unit < len(units)-1 {
		v /= 1000
		unit++
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[unit]
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

func timeText(t time.Time) string { return schemas.FormatTime(t) }

func microTime(us int64) time.Time { return time.UnixMicro(us).UTC() }

func offsetsText(o schemas.Offsets) string {
	var parts []string
	for _, partition := range slices.Sorted(maps.Keys(o)) {
		parts = append(parts, fmt.Sprintf("%d:%d", partition, o[partition]))
	}
	return strings.Join(parts, " ")
}

// progress is where a line is printed now and then; its zero value prints none.
type progress struct {
	out   io.Writer
	every time.Duration
}

// tell prints line each time until stop is called.
func (p progress) tell(line func(elapsed time.Duration) string) (stop func()) {
	if p.out == nil {
		return func() {}
	}
	ticker := time.NewTicker(p.every)
	done, ended := make(chan struct{}), make(chan struct{})
	started := time.Now()
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				_, _ = fmt.Fprintln(p.out, line(time.Since(started))) // nobody to tell
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
		<-ended
	}
}
