// Command almanac-archiver writes topics into Delta tables: see almanac-archiver --help.
package main

import (
	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/service"
)

func main() { service.Main(archiver.Program()) }
