package cosmosfake

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	// DefaultRegion is that of Microsoft's emulator.
	DefaultRegion = "South Central US"
	// DefaultConsistency is that of Microsoft's emulator.
	DefaultConsistency = "Strong"
)

// database holds containers by name. It is guarded by the server's lock.
type database struct {
	id, rid    string
	number     uint32
	body       []byte // the user's definition without system properties
	etag       string
	ts         int64
	containers map[string]*container
	made       uint32
}

func (d *database) json() []byte {
	self := "dbs/" + d.rid + "/"
	return spliceResource(d.body, fmt.Sprintf(`"_rid":%q,"_self":%q,"_etag":%s,"_colls":"colls/","_users":"users/","_ts":%d`,
		d.rid, self, quote(d.etag), d.ts))
}

// spliceResource puts properties before the last brace of a definition, which has at least an id.
func spliceResource(body []byte, properties string) []byte {
	out := make([]byte, 0, len(body)+len(properties)+1)
	out = append(out, body[:len(body)-1]...)
	out = append(out, ',')
	out = append(out, properties...)
	return append(out, '}')
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always encodes
		panic(err)
	}
	return string(b)
}

// ridText is a resource id as the service writes it: base64 with a dash for the slash.
func ridText(b []byte) string {
	return strings.ReplaceAll(base64.StdEncoding.EncodeToString(b), "/", "-")
}

// drawing is where resource ids begin: somewhere else at every start, unless a seed says where.
func drawing(seed uint64) *rand.Rand {
	if seed == 0 {
		seed = rand.Uint64()
	}
	return rand.New(rand.NewPCG(seed, 0))
}

// databaseNumber is another one for each of four million creations in a row. The first byte is not zero, and the last
// is, as in the service, so that ids of databases look like ids.
func databaseNumber(made uint32) uint32 { return 0x40000000 | made<<8&0x3FFFFF00 }

func databaseRID(number uint32) []byte { return binary.BigEndian.AppendUint32(nil, number) }

// comeBy is the endpoint that a client is told to use: the one by which it came. The name localhost becomes the address
// that it meant, as Microsoft's emulator does it.
func comeBy(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil && strings.EqualFold(name, "localhost") {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			host = local.String()
		}
	}
	return "https://" + host + "/"
}

// readAccount tells clients where to go.
func (s *Server) readAccount(a *answer, r *http.Request) *Error {
	if r.Method != http.MethodGet {
		return methodNotAllowed(r)
	}
	regions := s.locations(r)
	body, err := json.Marshal(map[string]any{
		"_self": "", "id": "cosmosfake", "_rid": "cosmosfake", "media": "//media/", "addresses": "//addresses/",
		"_dbs": "//dbs/", "writableLocations": regions[:1], "readableLocations": regions,
		"enableMultipleWriteLocations": false, "enablePerPartitionFailoverBehavior": false,
		"userConsistencyPolicy":    map[string]string{"defaultConsistencyLevel": s.options.Consistency},
		"queryEngineConfiguration": queryLimits,
	})
	if err != nil { // strings and bools always encode
		panic(err)
	}
	a.charge(0)
	a.send(200, body)
	return nil
}

// reply is an answer that was made under a lock and is sent outside of it: a client that reads slowly holds nobody up.
type reply struct {
	status int
	etag   string
	body   []byte
	count  int // of the resources in body, of a list
	list   *resourceList
}

func (s *Server) serveDatabase(a *answer, r *http.Request, p path) *Error {
	var (
		out reply
		e   *Error
	)
	switch {
	case p.feed && isQuery(r):
		return s.queryResources(a, r, s.listDatabases())
	case p.feed && r.Method == http.MethodPost:
		out, e = s.createDatabase(r)
	case p.feed && r.Method == http.MethodGet:
		return a.page(r, s.listDatabases())
	case !p.feed && r.Method == http.MethodGet:
		out, e = s.readDatabase(p.names[0])
	case !p.feed && r.Method == http.MethodDelete:
		out, e = s.deleteDatabase(r, p.names[0])
	default:
		return methodNotAllowed(r)
	}
	return a.reply(out.unless(r), e)
}

func (s *Server) listDatabases() reply {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([][]byte, 0, len(s.databases))
	for _, d := range sorted(s.databases) {
		list = append(list, d.json())
	}
	return listReply("", "Databases", list)
}

func (s *Server) readDatabase(id string) (reply, *Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.databases[id]
	if !ok {
		return reply{}, notFound()
	}
	return reply{status: 200, etag: d.etag, body: d.json()}, nil
}

func (s *Server) createDatabase(r *http.Request) (reply, *Error) {
	id, body, e := readDefinition(r)
	if e != nil {
		return reply{}, e
	}
	content, e := askedThroughput(r)
	if e != nil {
		return reply{}, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.databases[id]; ok {
		return reply{}, conflict()
	}
	s.rids++
	number := databaseNumber(s.rids)
	now := s.clock.now()
	d := &database{
		id: id, rid: ridText(databaseRID(number)), number: number, body: body, ts: now.Unix(),
		etag: s.resourceETag(now.Unix()), containers: make(map[string]*container), made: s.draw.Uint32(),
	}
	o := s.newOffer(d.rid, "dbs/"+d.rid+"/", content, now)
	if e := s.note(&record{Account: s.accountRecord(), Database: d.record(), Offer: o.record()}); e != nil {
		return reply{}, e
	}
	s.databases[id] = d
	s.provide(o)
	return reply{status: 201, etag: d.etag, body: d.json()}, nil
}

func (s *Server) deleteDatabase(r *http.Request, id string) (reply, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.databases[id]
	if !ok {
		return reply{}, notFound()
	}
	if e := checkMatch(r.Header.Get("If-Match"), d.etag); e != nil {
		return reply{}, e
	}
	for _, c := range sorted(d.containers) {
		if e := s.dropContainer(d, c); e != nil {
			return reply{}, e
		}
	}
	if e := s.note(&record{Drop: &dropRecord{Database: id}}); e != nil {
		return reply{}, e
	}
	s.forgetDatabase(d)
	return reply{status: http.StatusNoContent}, nil
}

func (s *Server) forgetDatabase(d *database) {
	delete(s.databases, d.id)
	delete(s.offers, d.rid)
}

// readDefinition reads the definition of a database or container, without what the service adds to it.
func readDefinition(r *http.Request) (id string, body []byte, _ *Error) {
	raw, e := readBody(r)
	if e != nil {
		return "", nil, e
	}
	body, err := withoutSystem(raw, isResourceProperty)
	if err != nil {
		return "", nil, badRequest("The input content is invalid: %v.", err)
	}
	var named struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &named); err != nil {
		return "", nil, badRequest("The input content is invalid: %v.", err)
	}
	if e := checkID(named.ID); e != nil {
		return "", nil, e
	}
	if e := checkName(named.ID); e != nil {
		return "", nil, e
	}
	return named.ID, body, nil
}

// checkName refuses what no database, container or script is called (the id of azure-cosmos-dotnet-v3's resources; the
// texts are its RMResources.InvalidCharacterInResourceName and InvalidSpaceEndingInResourceName). Items may be.
func checkName(id string) *Error {
	if len(id) > 255 {
		return badRequest("The id has %d bytes, at most 255 are allowed here.", len(id))
	}
	if i := strings.IndexAny(id, `/\?#`); i >= 0 {
		return badRequest("The resource name presented contains invalid character '%c'.", id[i])
	}
	if strings.HasSuffix(id, " ") {
		return badRequest("The resource name can't end with space.")
	}
	return nil
}

func isResourceProperty(name string) bool {
	switch name {
	case "_rid", "_self", "_etag", "_ts", "_colls", "_users", "_docs", "_sprocs", "_triggers", "_udfs", "_conflicts":
		return true
	}
	return false
}

func (s *Server) resourceETag(ts int64) string {
	v := version{etag: s.etags.Add(1), ts: ts}
	return v.etagText()
}

// reply sends what a handler made, or passes its refusal on.
func (a *answer) reply(out reply, e *Error) *Error {
	if e != nil {
		return e
	}
	if out.etag != "" {
		a.set("etag", out.etag)
	}
	if out.count > 0 {
		a.set("x-ms-item-count", strconv.Itoa(out.count))
	}
	a.charge(1)
	a.send(out.status, out.body)
	return nil
}

// unless makes the answer to a read 304 for a client that has this very version.
func (out reply) unless(r *http.Request) reply {
	if r.Method == http.MethodGet && out.etag != "" && r.Header.Get("If-None-Match") == out.etag {
		return reply{status: http.StatusNotModified, etag: out.etag}
	}
	return out
}

// listReply answers with all resources of a type.
func listReply(rid, name string, list [][]byte) reply {
	body := fmt.Appendf(nil, `{"_rid":%q,%q:[`, rid, name)
	for i, one := range list {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, one...)
	}
	body = fmt.Appendf(body, `],"_count":%d}`, len(list))
	return reply{status: 200, body: body, count: len(list), list: &resourceList{rid: rid, name: name, all: list}}
}

// sorted are the values in order of their names.
func sorted[T any](m map[string]T) []T {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	values := make([]T, len(names))
	for i, name := range names {
		values[i] = m[name]
	}
	return values
}
