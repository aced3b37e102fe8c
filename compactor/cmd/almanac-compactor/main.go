// Command almanac-compactor takes snapshots of containers: see almanac-compactor --help.
package main

import (
	"os"
	"runtime/debug"

	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/internal/service"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // what is not collected yet counts beside compactor.memory
	}
	service.Main(compactor.Program())
}
