package schemas

import (
	"encoding/json"
	"fmt"
	"time"
)

// Checkpoint is where the reader of a feed range goes on: one small object per range, written by compare-and-set
// only. It is the fence between two readers, and it moves only past acknowledged events (INV-1).
type Checkpoint struct {
	Container   string     `json:"container"`
	Incarnation string     `json:"incarnation"`
	Range       FeedRange  `json:"range"`
	Mode        Mode       `json:"mode"`
	Generation  Generation `json:"generation"`
	Config      int64      `json:"config"`       // greatest configuration number seen in a session token, -1 when none was
	WriteRegion string     `json:"write_region"` // as the account named it when the generation began
	Basis       Basis      `json:"basis"`
	BasisFrom   LSN        `json:"basis_from"`
	Token       string     `json:"token"`                // the continuation that the SDK resumes from; empty is the beginning
	Position    LSN        `json:"position"`             // the LSN that the token stands at
	Newest      LSN        `json:"newest"`               // with the position that the same responses produced: replicas lag
	Latest      time.Time  `json:"latest"`               // nothing published so far is later
	Offsets     Offsets    `json:"offsets"`              // acknowledged, cumulative over generations
	Definition  string     `json:"definition,omitempty"` // SHA-256 of the last definition that this range's reader published
	Halt        *Halt      `json:"halt,omitempty"`
	Closed      bool       `json:"closed"`
	WriteID     UUID       `json:"write_id"` // tells whose write stands there, when the answer was lost
	WrittenBy   string     `json:"written_by"`
	WrittenAt   time.Time  `json:"written_at"`
}

// Encode is the object's content.
func (c *Checkpoint) Encode() ([]byte, error) { return json.MarshalIndent(c, "", "  ") }

// DecodeCheckpoint reads the object's content and refuses what this version does not know.
func DecodeCheckpoint(b []byte) (*Checkpoint, error) {
	c := new(Checkpoint)
	if err := decodeStrict(b, c); err != nil {
		return nil, fmt.Errorf("decode checkpoint: %w", err)
	}
	if err := c.Range.Validate(); err != nil {
		return nil, fmt.Errorf("decode checkpoint: %w", err)
	}
	return c, nil
}

// Start is where the first reading of a container begins.
type Start string

// The starts of this version.
const (
	StartBeginning Start = "beginning"
	StartNow       Start = "now"
)

// Seed is the object that fixes, once per container, which ranges were there at the start and how many topic
// partitions spread them. Put if absent; Done is set when all its checkpoints exist, and after that a missing
// checkpoint halts.
type Seed struct {
	Container   string      `json:"container"`
	Incarnation string      `json:"incarnation"`
	Ranges      []FeedRange `json:"ranges"`
	Start       Start       `json:"start"`
	Mode        Mode        `json:"mode"`
	Partitions  int32       `json:"partitions"` // N: a range is read by the owner of topic partition hash(range) mod N
	Done        bool        `json:"done"`
	WriteID     UUID        `json:"write_id"`
}

// Encode is the object's content.
func (s *Seed) Encode() ([]byte, error) { return json.MarshalIndent(s, "", "  ") }

// DecodeSeed reads the object's content and refuses what this version does not know.
func DecodeSeed(b []byte) (*Seed, error) {
	s := new(Seed)
	if err := decodeStrict(b, s); err != nil {
		return nil, fmt.Errorf("decode seed: %w", err)
	}
	if s.Partitions <= 0 {
		return nil, fmt.Errorf("decode seed: %d topic partitions are not possible", s.Partitions)
	}
	return s, nil
}
