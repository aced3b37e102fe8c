package service

import (
	"strings"
	"testing"
)

func TestJoinNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"points --last -1 -o json": "points --last=-1 -o json",
		"points --last 1":          "points --last 1",
		"points --last=3 -1":       "points --last=3 -1",
		"get --id -1.5 --at -x":    "get --id=-1.5 --at -x",
		"-1":                       "-1",
	} {
		if got := strings.Join(joinNumbers(strings.Fields(in)), " "); got != want {
			t.Errorf("%s: got %s want %s", in, got, want)
		}
	}
}
