// Command almanac-compactor takes snapshots of containers: see almanac-compactor --help.
package main

import (
	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/internal/service"
)

func main() { service.Main(compactor.Program()) }
