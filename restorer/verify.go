package restorer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/sleep"
)

// Verification is what `verify` prints.
type Verification struct {
	Point  string `json:"point"`
	Target string `json:"target"`
	Comparison
}

// verify compares a container with a point in one pass over each.
func (s *session) verify(ctx context.Context, reader Reader, point *archive.Point, target Name, limit int) (*Verification, error) {
	container, err := findTarget(ctx, reader, target)
	if err != nil {
		return nil, err
	}
	if container == nil {
		return nil, usage("target %s does not exist; name the container to compare with by --to, such as the one that `run` made", target)
	}
	base, _, err := s.findSource(ctx, point)
	if err != nil {
		return nil, err
	}
	limits := s.env.Config.Restorer
	there := newSurvey(int64(limits.Memory)/2, limits.Spill)
	told := progress{s.env.Err, progressInterval}
	err = (&surveyor{reader, sleep.For, told, s.rules.Deleted}).survey(ctx, container, there)
	var c *Comparison
	if err == nil {
		err = s.withBase(base, func(base *archive.Manifest) error {
			c, err = compareSurvey(ctx, s.content(point, base), there, listing{limit, []Kind{Missing, Extra, ExtraDeleted, Different}}, told)
			return err
		})
	}
	if err = errors.Join(err, there.close()); err != nil {
		return nil, err
	}
	return &Verification{Point: point.Name, Target: target.String(), Comparison: *c}, nil
}

func (v *Verification) write(w io.Writer) error {
	outcome := "equal: every document is there, byte for byte, and no other"
	if !v.Same() {
		extra := grouped(v.Extra) + " extra"
		if v.ExtraDeleted > 0 {
			extra += fmt.Sprintf(" (%s of them deleted softly)", grouped(v.ExtraDeleted))
		}
		outcome = fmt.Sprintf("different: %s missing, %s, %s with other bytes", grouped(v.Missing), extra, grouped(v.Different))
	}
	err := facts(w,
		[2]string{"point", v.Point},
		[2]string{"target", v.Target},
		[2]string{"documents", plural(v.Documents, "document", "documents") + ", " + sized(v.Bytes)},
		[2]string{"outcome", outcome})
	if err != nil || len(v.Differences) == 0 {
		return err
	}
	rows := [][]string{{"DIFFERENCE", "PARTITION KEY", "ID"}}
	for _, d := range v.Differences {
		rows = append(rows, []string{string(d.Kind), d.Key, strconv.Quote(d.ID)})
	}
	if err := tableBelow(w, rows); err != nil {
		return err
	}
	if rest := v.Missing + v.Extra + v.Different - int64(len(v.Differences)); rest > 0 {
		_, err = fmt.Fprintf(w, "and %s more; --limit shows more\n", grouped(rest))
	}
	return err
}
