package archiver_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// shape is what documents look like; it decides what compression costs and saves.
type shape struct {
	name     string
	document func(to []byte, rng *rand.Rand, n, customer int) []byte // without its last brace
}

func shapes() []shape {
	return []shape{
		{"repetitive", repetitive},
		{"realistic", realistic},
		{"incompressible", incompressible},
	}
}

func repetitive(to []byte, _ *rand.Rand, n, customer int) []byte {
	return fmt.Appendf(to, `{"id":"order-%08d","customer":"customer-%06d","note":"%s"`, n, customer, strings.Repeat("could be better for the price ", 45))
}

func realistic(to []byte, rng *rand.Rand, n, customer int) []byte {
	to = fmt.Appendf(to, `{"id":"order-%08d","customer":"customer-%06d","state":"%s","total":%d.%02d,"lines":[{}`, n, customer,
		[]string{"open", "paid", "packed", "shipped"}[rng.IntN(4)], rng.IntN(1000), rng.IntN(100))
	for range 8 + rng.IntN(12) {
		to = fmt.Appendf(to, `,{"sku":"%016x","name":"%s of the %s","quantity":%d,"price":%d.%02d}`, rng.Uint64(),
			[]string{"chair", "table", "lamp", "shelf"}[rng.IntN(4)], []string{"north", "south", "east", "west"}[rng.IntN(4)], 1+rng.IntN(9), rng.IntN(300), rng.IntN(100))
	}
	return append(to, ']')
}

func incompressible(to []byte, rng *rand.Rand, n, customer int) []byte {
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return fmt.Appendf(to, `{"id":"order-%08d","customer":"customer-%06d","photo":"%s"`, n, customer, base64.StdEncoding.EncodeToString(noise))
}
