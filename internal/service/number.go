package service

import (
	"slices"
	"strconv"
	"strings"
)

// joinNumbers writes `--last -1` as `--last=-1`: kong would take the number for a flag and say so, and the command
// could not say what it wants instead. No flag is named by a number.
func joinNumbers(args []string) []string {
	args = slices.Clone(args)
	for i := 1; i < len(args); i++ {
		_, err := strconv.ParseFloat(args[i], 64)
		if err == nil && args[i][0] == '-' && strings.HasPrefix(args[i-1], "--") && !strings.Contains(args[i-1], "=") {
			args[i-1] += "=" + args[i]
			args = slices.Delete(args, i, i+1)
		}
	}
	return args
}
