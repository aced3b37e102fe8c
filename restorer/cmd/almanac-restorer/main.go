// Command almanac-restorer gives back moments of a Cosmos DB container from an Almanac archive.
package main

import (
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/restorer"
)

func main() { service.Main(restorer.Program()) }
