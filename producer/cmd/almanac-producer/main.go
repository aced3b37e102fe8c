// Command almanac-producer publishes change feeds: see almanac-producer --help.
package main

import (
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/producer"
)

func main() { service.Main(producer.Program()) }
