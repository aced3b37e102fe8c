package cosmosfake

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// regionName is the account's only region.
const regionName = "East US"

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

func databaseRID(number uint32) []byte { return binary.BigEndian.AppendUint32(nil, number) }

// readAccount tells clients where to go: to the address by which they came.
func (s *Server) readAccount(a *answer, r *http.Request) *Error {
	if r.Method != http.MethodGet {
		return methodNotAllowed(r)
	}
	type location struct {
		Name     string `json:"name"`
		Endpoint string `json:"databaseAccountEndpoint"`
	}
	here := []location{{regionName, "https://" + r.Host + "/"}}
	body, err := json.Marshal(map[string]any{
		"_self": "", "id": "cosmosfake", "_rid": "cosmosfake", "media": "//media/", "addresses": "//addresses/",
		"_dbs": "//dbs/", "writableLocations": here, "readableLocations": here,
		"enableMultipleWriteLocations": false, "enablePerPartitionFailoverBehavior": false,
		"userConsistencyPolicy":    map[string]string{"defaultConsistencyLevel": "Session"},
		"queryEngineConfiguration": "{}",
	})
	if err != nil { // strings and bools always encode
		panic(err)
	}
	a.charge(0)
	a.send(200, body)
	return nil
}

func (s *Server) serveDatabase(a *answer, r *http.Request, p path) *Error {
	switch {
	case p.feed && r.Method == http.MethodPost:
		return s.createDatabase(a, r)
	case p.feed && r.Method == http.MethodGet:
		s.mu.RLock()
		defer s.mu.RUnlock()
		list := make([][]byte, 0, len(s.databases))
		for _, d := range sorted(s.databases) {
			list = append(list, d.json())
		}
		a.list("", "Databases", list)
		return nil
	case !p.feed && r.Method == http.MethodGet:
		s.mu.RLock()
		defer s.mu.RUnlock()
		d, ok := s.databases[p.names[0]]
		if !ok {
			return notFound()
		}
		a.resource(200, d.etag, d.json())
		return nil
	case !p.feed && r.Method == http.MethodDelete:
		return s.deleteDatabase(a, p.names[0])
	}
	return methodNotAllowed(r)
}

func (s *Server) createDatabase(a *answer, r *http.Request) *Error {
	id, body, e := readDefinition(r)
	if e != nil {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.databases[id]; ok {
		return conflict()
	}
	s.rids++
	// The first byte is not zero, as in the service, so that ids of databases look like ids.
	number := 0x40000000 | s.rids<<8
	now := s.clock.now()
	d := &database{
		id: id, rid: ridText(databaseRID(number)), number: number, body: body, ts: now.Unix(),
		etag: s.resourceETag(now.Unix()), containers: make(map[string]*container),
	}
	s.databases[id] = d
	a.resource(201, d.etag, d.json())
	return nil
}

func (s *Server) deleteDatabase(a *answer, id string) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.databases[id]
	if !ok {
		return notFound()
	}
	for _, c := range sorted(d.containers) {
		if e := s.dropContainer(d, c); e != nil {
			return e
		}
	}
	delete(s.databases, id)
	a.charge(4.95)
	a.send(204, nil)
	return nil
}

// readDefinition reads the definition of a database or container, without what the service adds to it.
func readDefinition(r *http.Request) (id string, body []byte, _ *Error) {
	if isTrue(r, "x-ms-documentdb-isquery") || strings.HasPrefix(r.Header.Get("Content-Type"), "application/query+json") {
		return "", nil, notHere("queries")
	}
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
	if len(named.ID) > 255 {
		return "", nil, badRequest("The id has %d bytes, at most 255 are allowed here.", len(named.ID))
	}
	return named.ID, body, nil
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

// resource answers with a database or container.
func (a *answer) resource(status int, etag string, body []byte) {
	a.set("etag", etag)
	a.charge(1)
	a.send(status, body)
}

// list answers with all resources of a type.
func (a *answer) list(rid, name string, list [][]byte) {
	body := fmt.Appendf(nil, `{"_rid":%q,%q:[`, rid, name)
	for i, one := range list {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, one...)
	}
	body = fmt.Appendf(body, `],"_count":%d}`, len(list))
	a.set("x-ms-item-count", fmt.Sprint(len(list)))
	a.charge(1)
	a.send(200, body)
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
