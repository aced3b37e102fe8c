// Package accept is the acceptance test of the whole: the four real programs between the emulators, killed, failed over
// and lied to while somebody writes; then everything that they promise is compared with the emulator's ledger.
//
// Nouns are those of package play; a ward is a play that gives the programs what they must refuse.
//
// The seed is printed; ALMANAC_SEED=n draws the same choices again (what the programs make of them depends on the
// machine's scheduling too).
package accept

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// bin is the folder of the programs, and seed the seed of all choices; TestMain sets both.
var (
	bin  string
	seed int64
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	seed = time.Now().UnixNano()
	if text := os.Getenv("ALMANAC_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseInt(text, 10, 64); err != nil {
			fmt.Printf("ALMANAC_SEED %q is no number: %v\n", text, err)
			return 2
		}
	}
	fmt.Printf("accept: ALMANAC_SEED=%d repeats the choices of this run\n", seed)
	var err error
	if bin, err = os.MkdirTemp("", "almanac-accept-"); err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(bin)
	if err := harness.Build(context.Background(), bin); err != nil {
		fmt.Println(err)
		return 1
	}
	return m.Run()
}
