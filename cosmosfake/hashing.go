package cosmosfake

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf16"

	"github.com/cosmos-almanac/almanac/schemas"
)

// hashing is the version of a container's partition key: how a key becomes an effective partition key (EPK).
// Version 2 is package schemas', since all that Almanac archives is hashed by it. Version 1 is here: the 32-bit hash
// of the key as a sortable number, then the key itself, sortable too (source of @azure/cosmos, utils/hashing/v1).
type hashing int

const (
	hashingV1 hashing = 1
	hashingV2 hashing = 2
)

// Markers of a component's type, in what is hashed and in what is sorted.
const (
	markUndefined = 0x00
	markNull      = 0x01
	markFalse     = 0x02
	markTrue      = 0x03
	markNumber    = 0x05
	markString    = 0x08
)

// maxHashed is how much of a text version 1 hashes and sorts by: UTF-16 units first, bytes then.
const maxHashed = 100

// parse reads the partition key of a request: its canonical form and its EPK.
func (h hashing) parse(def schemas.KeyDefinition, text []byte) (canonical string, epk []byte, err error) {
	canonical, epk, err = def.ParsePartitionKey(text)
	if err != nil || h != hashingV1 {
		return canonical, epk, err
	}
	epk, err = epkV1(canonical)
	return canonical, epk, err
}

// epk is the EPK of a key in its canonical form.
func (h hashing) epk(def schemas.KeyDefinition, canonical string) string {
	_, epk, err := h.parse(def, []byte(canonical))
	if err != nil { // it was parsed before
		panic(err)
	}
	return schemas.HexEPK(epk)
}

// cut cuts the key space evenly: EPKs of version 2 begin with 00 to 3F only, those of version 1 with a number of 32
// bits.
func (h hashing) cut(n int) []schemas.FeedRange {
	ranges := make([]schemas.FeedRange, n)
	lower := schemas.MinEPK
	for i := range ranges {
		upper := schemas.MaxEPK
		switch at := i + 1; {
		case at == n:
		case h == hashingV1:
			upper = schemas.HexEPK(appendSortable(nil, float64(uint64(at)<<32/uint64(n))))
		default:
			upper = fmt.Sprintf("%04X", 0x4000*at/n)
		}
		ranges[i] = schemas.FeedRange{Min: lower, Max: upper}
		lower = upper
	}
	return ranges
}

// epkV1 hashes a key of one component.
func epkV1(canonical string) ([]byte, error) {
	var parts []any
	if err := json.Unmarshal([]byte(canonical), &parts); err != nil {
		return nil, fmt.Errorf("parse partition key %s: %w", canonical, err)
	}
	var hashed, sorted []byte
	for _, part := range parts {
		switch v := part.(type) {
		case nil:
			hashed, sorted = append(hashed, markNull), append(sorted, markNull)
		case bool:
			mark := byte(markFalse)
			if v {
				mark = markTrue
			}
			hashed, sorted = append(hashed, mark), append(sorted, mark)
		case float64:
			hashed = binary.LittleEndian.AppendUint64(append(hashed, markNumber), math.Float64bits(v))
			sorted = appendSortable(sorted, v)
		case string:
			text := firstUnits(v)
			hashed = append(append(append(hashed, markString), text...), 0)
			sorted = appendSortableText(sorted, text)
		default: // {} is undefined
			hashed, sorted = append(hashed, markUndefined), append(sorted, markUndefined)
		}
	}
	return append(appendSortable(nil, float64(murmur32(hashed))), sorted...), nil
}

func firstUnits(s string) string {
	if units := utf16.Encode([]rune(s)); len(units) > maxHashed {
		return string(utf16.Decode(units[:maxHashed]))
	}
	return s
}

// appendSortable appends a number so that bytes sort as numbers do: its bits, most significant first, eight in the
// first byte and seven in each of the others, whose lowest bit says whether another follows.
func appendSortable(dst []byte, f float64) []byte {
	payload := math.Float64bits(f)
	if payload>>63 == 0 {
		payload ^= 1 << 63
	} else {
		payload = ^payload + 1
	}
	dst = append(dst, markNumber, byte(payload>>56))
	payload <<= 8
	for {
		b := byte(payload >> 56)
		if payload <<= 7; payload == 0 {
			return append(dst, b&0xFE)
		}
		dst = append(dst, b|1)
	}
}

func appendSortableText(dst []byte, s string) []byte {
	dst = append(dst, markString)
	for i := range min(len(s), maxHashed+1) {
		b := s[i]
		if b < 0xFF {
			b++
		}
		dst = append(dst, b)
	}
	if len(s) <= maxHashed {
		dst = append(dst, 0)
	}
	return dst
}

// murmur32 is MurmurHash3 x86 32 with seed 0 (public domain, Austin Appleby).
func murmur32(data []byte) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	h, length := uint32(0), uint32(len(data))
	for len(data) >= 4 {
		h ^= bits.RotateLeft32(binary.LittleEndian.Uint32(data)*c1, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
		data = data[4:]
	}
	var tail [4]byte
	copy(tail[:], data)
	h ^= bits.RotateLeft32(binary.LittleEndian.Uint32(tail[:])*c1, 15) * c2
	h ^= length
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}
