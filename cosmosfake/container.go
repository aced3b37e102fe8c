package cosmosfake

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// rangesHeader is the emulator's own: the number of physical ranges of the container that is created.
const rangesHeader = "x-ms-cosmosfake-ranges"

// container is one incarnation: the same name created again has another rid. Definition, etag and ts are guarded by
// the server's lock, the rest never changes or guards itself.
type container struct {
	name     string // database.container
	path     string // dbs/{database}/colls/{container}
	id, rid  string
	ridBytes []byte
	self     string
	key      schemas.KeyDefinition
	hashing  hashing
	topology topology
	ttl      timeToLive
	// throughput is its limit.
	throughput throughput

	body    []byte // the user's definition without system properties
	etag    string
	ts      int64
	scripts map[string]map[string]*script // by type and id
	rids    uint64                        // of scripts
	unique  []uniqueKey                   // never changes
	dropped int64                         // when it was deleted, nanoseconds since 1970
}

func pathOf(database, container string) string { return "dbs/" + database + "/colls/" + container }

// container finds one by name.
func (s *Server) container(databaseID, containerID string) (*container, *Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.databases[databaseID]; ok {
		if c, ok := d.containers[containerID]; ok {
			return c, nil
		}
	}
	return nil, notFound()
}

// ridSize is the length of the resource id of a container's child.
const ridSize = 24

// putRID writes the resource id of a container's child: the container's, then the child's number.
func (c *container) putRID(dst *[ridSize]byte, number uint64) {
	var b [16]byte
	copy(b[:8], c.ridBytes)
	binary.LittleEndian.PutUint64(b[8:], number)
	base64.StdEncoding.Encode(dst[:], b[:])
	for i, char := range dst {
		if char == '/' {
			dst[i] = '-'
		}
	}
}

func (c *container) json() []byte {
	return spliceResource(c.body, fmt.Sprintf(
		`"_rid":%q,"_ts":%d,"_self":%q,"_etag":%s,"_docs":"docs/","_sprocs":"sprocs/","_triggers":"triggers/","_udfs":"udfs/","_conflicts":"conflicts/"`,
		c.rid, c.ts, c.self, quote(c.etag)))
}

func (c *container) entry(p *partition, op string, at time.Time) Entry {
	e := Entry{Op: op, Container: c.name, RID: c.rid, Time: at}
	if p == nil && op != OpDeleteContainer {
		e.DefaultTTL = c.ttl.seconds.Load()
	}
	if p != nil {
		e.Range, e.Min, e.Max, e.Config = p.id, p.span.Min, p.span.Max, p.config
	}
	return e
}

func (s *Server) serveContainer(a *answer, r *http.Request, p path) *Error {
	var (
		out reply
		e   *Error
	)
	switch {
	case p.feed && isQuery(r):
		if out, e = s.listContainers(p.names[0]); e == nil {
			return s.queryResources(a, r, out)
		}
	case p.feed && r.Method == http.MethodPost:
		out, e = s.createContainer(r, p.names[0])
	case p.feed && r.Method == http.MethodGet:
		if out, e = s.listContainers(p.names[0]); e == nil {
			return a.page(r, out)
		}
	case !p.feed && r.Method == http.MethodGet:
		out, e = s.readContainer(p.names[0], p.names[1])
	case !p.feed && r.Method == http.MethodPut:
		out, e = s.replaceContainer(r, p.names[0], p.names[1])
	case !p.feed && r.Method == http.MethodDelete:
		out, e = s.deleteContainer(r, p.names[0], p.names[1])
	default:
		return methodNotAllowed(r)
	}
	return a.reply(out.unless(r), e)
}

// locate finds a container and its database. The caller holds the server's lock.
func (s *Server) locate(databaseID, containerID string) (*database, *container, *Error) {
	d, ok := s.databases[databaseID]
	if !ok {
		return nil, nil, ownerNotFound()
	}
	c, ok := d.containers[containerID]
	if !ok {
		return nil, nil, notFound()
	}
	return d, c, nil
}

func (s *Server) listContainers(databaseID string) (reply, *Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.databases[databaseID]
	if !ok {
		return reply{}, ownerNotFound()
	}
	list := make([][]byte, 0, len(d.containers))
	for _, c := range sorted(d.containers) {
		list = append(list, c.json())
	}
	return listReply(d.rid, "DocumentCollections", list), nil
}

func (s *Server) readContainer(databaseID, containerID string) (reply, *Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, c, e := s.locate(databaseID, containerID)
	if e != nil {
		return reply{}, e
	}
	return reply{status: 200, etag: c.etag, body: c.json()}, nil
}

func (s *Server) deleteContainer(r *http.Request, databaseID, containerID string) (reply, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, c, e := s.locate(databaseID, containerID)
	if e != nil {
		return reply{}, e
	}
	if e := checkMatch(r.Header.Get("If-Match"), c.etag); e != nil {
		return reply{}, e
	}
	return reply{status: http.StatusNoContent}, s.dropContainer(d, c)
}

func (s *Server) createContainer(r *http.Request, databaseID string) (reply, *Error) {
	id, body, e := readDefinition(r)
	if e != nil {
		return reply{}, e
	}
	ranges := s.options.Ranges
	if text := r.Header.Get(rangesHeader); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxRanges {
			return reply{}, badRequest("%s is %q, want 1 to %d.", rangesHeader, text, MaxRanges)
		}
		ranges = n
	}
	body, key, version, e := completeDefinition(body)
	if e != nil {
		return reply{}, e
	}
	content, e := askedThroughput(r)
	if e != nil {
		return reply{}, e
	}
	unique, e := parseUniqueKeys(body)
	if e != nil {
		return reply{}, e
	}
	if e := checkIndexing(body); e != nil {
		return reply{}, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.databases[databaseID]
	if !ok {
		return reply{}, ownerNotFound()
	}
	if _, ok := d.containers[id]; ok {
		return reply{}, conflict()
	}
	now := s.clock.now()
	c := &container{name: d.id + "." + id, path: pathOf(d.id, id), id: id, key: key, hashing: version, body: body, ts: now.Unix(), etag: s.resourceETag(now.Unix())}
	c.unique = unique
	made := d.made + 1
	// The top bit of the second half tells containers from users (resource ids of the service).
	c.ridBytes = binary.BigEndian.AppendUint32(databaseRID(d.number), 0x80000000|made)
	c.rid = ridText(c.ridBytes)
	c.self = "dbs/" + d.rid + "/colls/" + c.rid + "/"
	c.topology.begin(version.cut(ranges))
	c.throughput.set(s.limit(content))
	if e := c.ttl.define(body); e != nil {
		return reply{}, e
	}
	if e := s.checkPolicy(body); e != nil {
		return reply{}, e
	}
	if content == nil && s.offers[d.rid] == nil {
		content = defaultThroughput()
	}
	o := s.newOffer(c.rid, c.self, content, now)
	in, of := d.record(), c.record()
	in.Made, of.Cut = made, ranges
	if e := s.note(&record{Account: s.accountRecord(), Database: in, Container: of, Offer: o.record()}, c.entry(nil, OpCreateContainer, now)); e != nil {
		return reply{}, e
	}
	d.made, d.containers[id] = made, c
	s.provide(o)
	return reply{status: 201, etag: c.etag, body: c.json()}, nil
}

func (s *Server) replaceContainer(r *http.Request, databaseID, containerID string) (reply, *Error) {
	id, body, e := readDefinition(r)
	if e != nil {
		return reply{}, e
	}
	body, key, version, e := completeDefinition(body)
	if e != nil {
		return reply{}, e
	}
	if e := checkIndexing(body); e != nil {
		return reply{}, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c, e := s.locate(databaseID, containerID)
	switch {
	case e != nil:
		return reply{}, e
	case id != containerID:
		return reply{}, badRequest("The id %q in the body is not the container's, %q.", id, containerID)
	case !reflect.DeepEqual(key, c.key), version != c.hashing:
		return reply{}, badRequest("Document collection partition key cannot be changed.")
	}
	if e := checkMatch(r.Header.Get("If-Match"), c.etag); e != nil {
		return reply{}, e
	}
	if e := checkUniqueKeys(c, body); e != nil {
		return reply{}, e
	}
	if e := s.checkPolicy(body); e != nil {
		return reply{}, e
	}
	var ttl timeToLive
	if e := ttl.define(body); e != nil {
		return reply{}, e
	}
	now := s.clock.now()
	changed := c.record()
	changed.Body, changed.TS, changed.ETag = body, now.Unix(), s.resourceETag(now.Unix())
	entry := c.entry(nil, OpReplaceContainer, now)
	entry.DefaultTTL = ttl.seconds.Load()
	if e := s.note(&record{Account: s.accountRecord(), Container: changed}, entry); e != nil {
		return reply{}, e
	}
	c.body, c.ts, c.etag = changed.Body, changed.TS, changed.ETag
	c.ttl.seconds.Store(ttl.seconds.Load())
	return reply{status: 200, etag: c.etag, body: c.json()}, nil
}

// dropContainer ends every range, so that no write of a request in flight follows the deletion in the ledger. The
// caller holds the server's lock.
func (s *Server) dropContainer(d *database, c *container) *Error {
	unlock := c.topology.lockAll()
	defer unlock()
	entry := c.entry(nil, OpDeleteContainer, s.clock.now())
	if e := s.note(&record{Drop: &dropRecord{Database: d.id, Container: c.id}}, entry); e != nil {
		return e
	}
	s.forgetContainer(d, c)
	return nil
}

// forgetContainer ends a container. The caller holds all locks.
func (s *Server) forgetContainer(d *database, c *container) {
	c.topology.close()
	c.dropped = s.clock.last.Load()
	s.drop(c)
	delete(d.containers, c.id)
	delete(s.offers, c.rid)
}

// checkIndexing refuses an indexing mode that the service does not have (the text is azure-cosmos-dotnet-v3's
// RMResources.InvalidEnumValue). The rest of the policy is kept as it is.
func checkIndexing(body []byte) *Error {
	var sent struct {
		Policy struct {
			Mode *string `json:"indexingMode"`
		} `json:"indexingPolicy"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return badRequest("The indexingPolicy is invalid: %v.", err)
	}
	if mode := sent.Policy.Mode; mode != nil {
		switch strings.ToLower(*mode) {
		case "consistent", "lazy", "none":
		default:
			return badRequest("Invalid value %s passed for enum IndexingMode: want consistent, lazy or none.", *mode)
		}
	}
	return nil
}

// completeDefinition fills in what the service adds to a partition key definition; everything else stays as it
// was sent.
func completeDefinition(body []byte) ([]byte, schemas.KeyDefinition, hashing, *Error) {
	var at member
	err := scanObject(body, func(m member) error {
		if memberName(body, m) == "partitionKey" {
			at = m
		}
		return nil
	})
	if err != nil {
		return nil, schemas.KeyDefinition{}, 0, badRequest("The input content is invalid: %v.", err)
	}
	if at.end == 0 {
		return nil, schemas.KeyDefinition{}, 0, notHere("containers without a partition key")
	}
	var key struct {
		Paths   []string `json:"paths"`
		Kind    string   `json:"kind"`
		Version int      `json:"version"`
	}
	if err := json.Unmarshal(body[at.start:at.end], &key); err != nil {
		return nil, schemas.KeyDefinition{}, 0, badRequest("The partitionKey is invalid: %v.", err)
	}
	sent := key
	if key.Kind == "" {
		key.Kind = "Hash"
		if len(key.Paths) > 1 {
			key.Kind = "MultiHash"
		}
	}
	if key.Version == 0 {
		key.Version = 2
	}
	switch {
	case key.Version != 1 && key.Version != 2:
		return nil, schemas.KeyDefinition{}, 0, badRequest("The partitionKey's version is %d, want 1 or 2.", key.Version)
	case key.Kind == "MultiHash" && key.Version == 1:
		return nil, schemas.KeyDefinition{}, 0, badRequest("A partition key of kind MultiHash has version 2.")
	case key.Kind != "Hash" && key.Kind != "MultiHash":
		return nil, schemas.KeyDefinition{}, 0, badRequest("The partitionKey's kind is %q, want Hash or MultiHash.", key.Kind)
	case key.Kind == "Hash" && len(key.Paths) != 1:
		return nil, schemas.KeyDefinition{}, 0, badRequest("A partition key of kind Hash has one path, this has %d.", len(key.Paths))
	}
	if !reflect.DeepEqual(sent, key) {
		text, err := json.Marshal(key)
		if err != nil {
			return nil, schemas.KeyDefinition{}, 0, badRequest("The partitionKey is invalid: %v.", err)
		}
		body = append(append(append([]byte(nil), body[:at.start]...), text...), body[at.end:]...)
	}
	version := hashing(key.Version)
	key.Version = 2 // paths are paths in both
	text, err := json.Marshal(map[string]any{"partitionKey": key})
	if err != nil {
		return nil, schemas.KeyDefinition{}, 0, badRequest("The partitionKey is invalid: %v.", err)
	}
	def, err := schemas.ParseKeyDefinition(text)
	if err != nil {
		return nil, schemas.KeyDefinition{}, 0, badRequest("The partitionKey is invalid: %v.", err)
	}
	return body, def, version, nil
}
