package oracle

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// keyValues reads a partition key as a JSON array. An empty object stands for "undefined".
func keyValues(array string) ([]any, error) {
	var values []any
	if err := json.Unmarshal([]byte(array), &values); err != nil {
		return nil, fmt.Errorf("read partition key %q: %w", array, err)
	}
	return values, nil
}

// EPK is the effective partition key of a JSON array of key values: of all values together, or for hierarchical keys
// (MultiHash) of each by itself, one after the other.
func EPK(array string, kind string) (string, error) {
	values, err := keyValues(array)
	if err != nil {
		return "", err
	}
	var all, out []byte
	for _, v := range values {
		component, err := hashInput(v)
		if err != nil {
			return "", fmt.Errorf("hash partition key %s: %w", array, err)
		}
		all = append(all, component...)
		if kind == "MultiHash" {
			out = append(out, maskedSum(component)...)
		}
	}
	if kind != "MultiHash" {
		out = maskedSum(all)
	}
	return strings.ToUpper(hex.EncodeToString(out)), nil
}

func maskedSum(input []byte) []byte {
	sum := sum128(input)
	sum[0] &= 0x3F // "FF" stays above every key
	return sum
}

func hashInput(value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return []byte{1}, nil
	case bool:
		if v {
			return []byte{3}, nil
		}
		return []byte{2}, nil
	case float64:
		return binary.LittleEndian.AppendUint64([]byte{5}, math.Float64bits(v)), nil
	case string:
		return append(append([]byte{8}, v...), 0xFF), nil
	case map[string]any:
		if len(v) == 0 {
			return []byte{0}, nil
		}
	}
	return nil, fmt.Errorf("value %v is no partition key", value)
}

// sum128 is MurmurHash3 (x64, 128 bits, seed 0), the high half first. It reads the tail byte by byte, as the
// reference does.
func sum128(data []byte) []byte {
	const a, b = uint64(0x87c37b91114253d5), uint64(0x4cf5ad432745937f)
	var h1, h2 uint64
	n := len(data) / 16 * 16
	for i := 0; i < n; i += 16 {
		h1 ^= bits.RotateLeft64(binary.LittleEndian.Uint64(data[i:])*a, 31) * b
		h1 = bits.RotateLeft64(h1, 27) + h2
		h1 = h1*5 + 0x52dce729
		h2 ^= bits.RotateLeft64(binary.LittleEndian.Uint64(data[i+8:])*b, 33) * a
		h2 = bits.RotateLeft64(h2, 31) + h1
		h2 = h2*5 + 0x38495ab5
	}
	var k1, k2 uint64
	for i, c := range data[n:] {
		if i < 8 {
			k1 |= uint64(c) << (8 * i)
		} else {
			k2 |= uint64(c) << (8 * (i - 8))
		}
	}
	h2 ^= bits.RotateLeft64(k2*b, 33) * a
	h1 ^= bits.RotateLeft64(k1*a, 31) * b
	h1 ^= uint64(len(data))
	h2 ^= uint64(len(data))
	h1 += h2
	h2 += h1
	h1, h2 = mix(h1), mix(h2)
	h1 += h2
	h2 += h1
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, h2), h1)
}

func mix(v uint64) uint64 {
	v = (v ^ v>>33) * 0xff51afd7ed558ccd
	v = (v ^ v>>33) * 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}

// Span is a feed range, [Min, Max) in hexadecimal.
type Span struct {
	Min string `json:"min"`
	Max string `json:"max"`
}

// String is min-max.
func (s Span) String() string { return s.Min + "-" + s.Max }

// Holds reports whether the key is in the span. Bounds count as padded with zeros.
func (s Span) Holds(epk string) bool {
	width := max(len(s.Min), len(s.Max), len(epk))
	pad := func(x string) string { return x + strings.Repeat("0", width-len(x)) }
	return pad(s.Min) <= pad(epk) && pad(epk) < pad(s.Max)
}
