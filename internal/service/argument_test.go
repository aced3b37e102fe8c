package service

import (
	"strings"
	"testing"
)

func TestArgumentsAreJoined(t *testing.T) {
	for in, want := range map[string]string{
		"run --kafka-create-topics":                          "run --kafka-create-topics=true",
		"run --kafka-create-topics --kafka-tls-enabled true": "run --kafka-create-topics=true --kafka-tls-enabled true",
		"--kafka-tls-enabled run":                            "--kafka-tls-enabled=true run",
		"run --kafka-create-topics=false":                    "run --kafka-create-topics=false",
		"run --kafka-create-topics false":                    "run --kafka-create-topics false",
		"run --kafka-profile kafka":                          "run --kafka-profile kafka",

		"points --last -1 -o json": "points --last=-1 -o json",
		"points --last 1":          "points --last 1",
		"points --last=3 -1":       "points --last=3 -1",
		"get --id -1.5 --at -x":    "get --id=-1.5 --at -x",
		"-1":                       "-1",
	} {
		if got := strings.Join(joined(strings.Fields(in)), " "); got != want {
			t.Errorf("%s: got %s want %s", in, got, want)
		}
	}
}
