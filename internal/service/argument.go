package service

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// joined writes a command line as kong takes it.
func joined(args []string) []string { return joinSwitches(joinNumbers(args)) }

// joinSwitches writes a setting's flag that has no value, such as `--kafka-create-topics`, as one that is true: settings
// are text to kong, which would want one.
func joinSwitches(args []string) []string {
	args = slices.Clone(args)
	for _, setting := range config.Settings() {
		for i, arg := range args {
			if setting.IsSwitch() && arg == "--"+setting.Flag && (i+1 == len(args) || args[i+1] != "true" && args[i+1] != "false") {
				args[i] += "=true"
			}
		}
	}
	return args
}

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
