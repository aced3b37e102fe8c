package schemas

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"strings"
)

// EPKLimit is the greatest length of an effective partition key in bytes: three hierarchical levels of 16.
const EPKLimit = 48

// epkMask keeps the first byte of every component in 00–3F, so that "FF" stays above every key
// (azcosmos v1.5.0, internal/epk/epk.go).
const epkMask = 0x3F

// hashState collects the components of one partition key and writes its effective partition key.
// Version 2 hashing: type marker, value, and for strings a closing FF, through MurmurHash3-128 with seed 0.
type hashState struct {
	input []byte
}

func (h *hashState) undefined() { h.input = append(h.input, 0x00) }
func (h *hashState) null()      { h.input = append(h.input, 0x01) }
func (h *hashState) falsity()   { h.input = append(h.input, 0x02) }
func (h *hashState) truth()     { h.input = append(h.input, 0x03) }

func (h *hashState) number(f float64) {
	h.input = append(h.input, 0x05)
	h.input = binary.LittleEndian.AppendUint64(h.input, math.Float64bits(f))
}

func (h *hashState) text(utf8 []byte) {
	h.input = append(h.input, 0x08)
	h.input = append(h.input, utf8...)
	h.input = append(h.input, 0xFF)
}

// appendSum appends the 16 bytes of the hash of what was collected, and forgets it.
func (h *hashState) appendSum(dst []byte) []byte {
	lo, hi := murmur3(h.input)
	h.input = h.input[:0]
	n := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, hi)
	dst = binary.BigEndian.AppendUint64(dst, lo)
	dst[n] &= epkMask
	return dst
}

// HexEPK is the form of an effective partition key in feed ranges and in the epk column: upper-case hexadecimal.
func HexEPK(epk []byte) string { return strings.ToUpper(hex.EncodeToString(epk)) }

// AppendHexEPK appends HexEPK(epk) to dst without an allocation of its own.
func AppendHexEPK(dst, epk []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, b := range epk {
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// murmur3 is MurmurHash3 x64 128 with seed 0 (public domain, Austin Appleby).
func murmur3(data []byte) (lo, hi uint64) {
	const (
		c1 = 0x87c37b91114253d5
		c2 = 0x4cf5ad432745937f
	)
	length := uint64(len(data))
	for len(data) >= 16 {
		k1 := binary.LittleEndian.Uint64(data)
		k2 := binary.LittleEndian.Uint64(data[8:])
		data = data[16:]
		lo ^= bits.RotateLeft64(k1*c1, 31) * c2
		lo = (bits.RotateLeft64(lo, 27)+hi)*5 + 0x52dce729
		hi ^= bits.RotateLeft64(k2*c2, 33) * c1
		hi = (bits.RotateLeft64(hi, 31)+lo)*5 + 0x38495ab5
	}
	var tail [16]byte
	copy(tail[:], data)
	hi ^= bits.RotateLeft64(binary.LittleEndian.Uint64(tail[8:])*c2, 33) * c1
	lo ^= bits.RotateLeft64(binary.LittleEndian.Uint64(tail[:])*c1, 31) * c2
	lo ^= length
	hi ^= length
	lo += hi
	hi += lo
	lo = finalMix(lo)
	hi = finalMix(hi)
	lo += hi
	hi += lo
	return lo, hi
}

func finalMix(v uint64) uint64 {
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}
