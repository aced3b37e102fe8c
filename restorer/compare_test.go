package restorer

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

// list is content in memory, of `key id body` each.
type list struct {
	docs []string
	fail error
}

func (l *list) next() (*document, error) {
	if len(l.docs) == 0 {
		if l.fail != nil {
			return nil, l.fail
		}
		return nil, io.EOF
	}
	parts := strings.SplitN(l.docs[0], " ", 3)
	l.docs = l.docs[1:]
	return &document{key: []byte(parts[0]), id: []byte(parts[1]), body: []byte(parts[2])}, nil
}

func (l *list) close() error { return nil }

func surveyOf(t *testing.T, docs ...string) *survey {
	t.Helper()
	s := newSurvey(0, t.TempDir())
	for i, d := range docs {
		parts := strings.SplitN(d, " ", 3)
		if err := s.add([]byte(parts[0]), []byte(parts[1]), 1, []byte(parts[2])); err != nil {
			t.Fatal(i, err)
		}
	}
	return s
}

func TestCompare(t *testing.T) {
	tests := []struct {
		name       string
		want, have []string
		limit      int
		counts     string // documents, equal, missing, extra, different
		list       string
		deleted    int64 // of the extra ones
	}{
		{name: "nothing", counts: "0 0 0 0 0", list: "[]"},
		{name: "equal", want: []string{"[1] a x", "[1] b y"}, have: []string{"[1] b y", "[1] a x"}, counts: "2 2 0 0 0", list: "[]"},
		{name: "missing", want: []string{"[1] a x", "[1] b y"}, have: []string{"[1] b y"}, limit: 9, counts: "2 1 1 0 0", list: "[{missing [1] a}]"},
		{name: "all missing", want: []string{"[1] a x", "[1] b y"}, limit: 1, counts: "2 0 2 0 0", list: "[{missing [1] a}]"},
		{name: "extra", want: []string{"[1] a x"}, have: []string{"[1] a x", "[2] a x"}, limit: 9, counts: "1 1 0 1 0", list: "[{extra [2] a}]"},
		{
			name: "extra and deleted softly", want: []string{"[1] a x", "[2] a deleted"}, have: []string{"[1] a x", "[2] a deleted", "[3] a x", "[3] b deleted"}, limit: 9,
			counts: "2 2 0 2 0", list: "[{extra [3] a} {extra, deleted softly [3] b}]", deleted: 1,
		},
		{name: "extra alone", have: []string{"[1] a x"}, counts: "0 0 0 1 0", list: "[]"},
		{name: "different", want: []string{"[1] a 1.0"}, have: []string{"[1] a 1"}, limit: 9, counts: "1 0 0 0 1", list: "[{different [1] a}]"},
		{
			name: "all kinds", want: []string{"[1] a x", "[1] b y", "[1] d z"}, have: []string{"[1] a x", "[1] b z", "[1] c x"}, limit: 9,
			counts: "3 1 1 1 1", list: "[{different [1] b} {extra [1] c} {missing [1] d}]",
		},
		{
			name: "a key that is another's beginning", want: []string{`["a"] b x`}, have: []string{`["a"] bb x`}, limit: 9,
			counts: "1 0 1 1 0", list: `[{missing ["a"] b} {extra ["a"] bb}]`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			have, err := surveyOf(t, test.have...).sorted()
			if err != nil {
				t.Fatal(err)
			}
			c, err := compare(t.Context(), &list{docs: test.want}, have, listing{test.limit, []Kind{Missing, Extra, ExtraDeleted, Different}})
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(c.Documents, c.Equal, c.Missing, c.Extra, c.Different); got != test.counts {
				t.Errorf("got counts %s, want %s", got, test.counts)
			}
			if c.ExtraDeleted != test.deleted {
				t.Errorf("got %d deleted softly, want %d", c.ExtraDeleted, test.deleted)
			}
			if got := fmt.Sprint(c.Differences); got != test.list {
				t.Errorf("got %s, want %s", got, test.list)
			}
		})
	}
}

func TestCompareRefuses(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		content list
		want    string
	}{
		{"unsorted content", t.Context(), list{docs: []string{"[2] a x", "[1] a x"}}, "does not ascend"},
		{"repeated content", t.Context(), list{docs: []string{"[1] a x", "[1] a x"}}, "does not ascend"},
		{"content that fails", t.Context(), list{docs: []string{"[1] a x"}, fail: io.ErrUnexpectedEOF}, "unexpected EOF"},
		{"cancelled", cancelled, list{docs: []string{"[1] a x"}}, "canceled"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			have, err := surveyOf(t).sorted()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := compare(test.ctx, &test.content, have, listing{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %s", err, test.want)
			}
		})
	}
}
