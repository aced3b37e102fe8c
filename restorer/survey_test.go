package restorer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/schemas"
)

func (s *survey) add(key, id []byte, lsn schemas.LSN, body []byte) error {
	deleted := strings.HasPrefix(string(body), "deleted")
	return s.put(&entry{key: key, id: id, lsn: lsn, hash: sha256.Sum256(body), deleted: deleted})
}

func readAll(t *testing.T, s *survey) []string {
	t.Helper()
	sorted, err := s.sorted()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		e, err := sorted.next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %d %x", e.key, e.id, e.lsn, e.hash[:4]))
	}
}

// Whatever the memory, a survey is the sorted list of names with the newest version of each (INV-9).
func TestSurveySorts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	tests := []struct {
		name   string
		limit  int
		adds   int
		levels int // of spilled runs, at least
	}{
		{"nothing", 1 << 20, 0, 0},
		{"in memory", 1 << 20, 500, 0},
		{"spilled", 20 << 10, 5000, 1},
		{"merged runs", 1 << 10, 5000, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := newSurvey(0, t.TempDir())
			s.limit = test.limit
			type newest struct {
				lsn  schemas.LSN
				hash [sha256.Size]byte
			}
			want := map[string]newest{}
			for i := range test.adds {
				key, id := fmt.Sprintf(`["%d"]`, random.IntN(30)), strings.Repeat("x", random.IntN(40))
				body := fmt.Appendf(nil, "body %d", i)
				lsn := schemas.LSN(i + 1)
				if random.IntN(2) == 0 { // the feed of one range ascends, those of several do not
					lsn = schemas.LSN(random.IntN(1<<40)*test.adds + i)
				}
				if err := s.add([]byte(key), []byte(id), lsn, body); err != nil {
					t.Fatal(err)
				}
				if name := key + " " + id; want[name].lsn < lsn {
					want[name] = newest{lsn, sha256.Sum256(body)}
				}
			}
			names := make([]string, 0, len(want))
			for name := range want {
				names = append(names, name)
			}
			slices.Sort(names)
			var lines []string
			for _, name := range names {
				e := want[name]
				lines = append(lines, fmt.Sprintf("%s %d %x", name, e.lsn, e.hash[:4]))
			}
			if len(s.levels) < test.levels {
				t.Errorf("got %d levels of runs, want %d", len(s.levels), test.levels)
			}
			for pass := range 2 {
				if got := readAll(t, s); !slices.Equal(got, lines) {
					t.Errorf("pass %d: got %d entries, want %d; first got %.3q, want %.3q", pass, len(got), len(lines), got, lines)
				}
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
			left, err := os.ReadDir(s.folder)
			if err != nil || len(left) > 0 {
				t.Errorf("got %v left behind, %v", left, err)
			}
		})
	}
}

func TestSurveyNeedsItsFolder(t *testing.T) {
	s := newSurvey(0, t.TempDir()+"/absent")
	s.limit = 1
	err := s.add([]byte("[1]"), []byte("a"), 1, nil)
	if err == nil || !strings.Contains(err.Error(), "restorer.spill") {
		t.Errorf("got %v, want an error that names restorer.spill", err)
	}
}
