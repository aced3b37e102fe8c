package cosmosfake

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// minThroughput and throughputStep bound what can be asked for (service limits).
	minThroughput  = 400
	throughputStep = 100
	minAutoscale   = 1000
)

// offer is the throughput of a database or container. It is guarded by the server's lock.
type offer struct {
	rid      string
	resource string // of the database or container
	self     string // of the same
	content  throughputContent
	etag     string
	ts       int64
}

// throughputContent is what an offer provides.
type throughputContent struct {
	Throughput int                `json:"offerThroughput"`
	Autoscale  *autoscaleSettings `json:"offerAutopilotSettings,omitempty"`
}

type autoscaleSettings struct {
	Max int `json:"maxThroughput"`
}

func defaultThroughput() *throughputContent { return &throughputContent{Throughput: minThroughput} }

func (c *throughputContent) check() *Error {
	switch {
	case c.Autoscale != nil:
		if m := c.Autoscale.Max; m < minAutoscale || m%minAutoscale != 0 {
			return badRequest("The autoscale throughput %d is invalid: at least %d, in steps of %d.", m, minAutoscale, minAutoscale)
		}
		c.Throughput = c.Autoscale.Max / 10
	case c.Throughput < minThroughput || c.Throughput%throughputStep != 0:
		return badRequest("The offer's throughput %d is invalid: at least %d, in steps of %d.", c.Throughput, minThroughput, throughputStep)
	}
	return nil
}

// askedThroughput reads what the creation of a database or container asks for; nil is nothing.
func askedThroughput(r *http.Request) (*throughputContent, *Error) {
	manual, auto := r.Header.Get("x-ms-offer-throughput"), r.Header.Get("x-ms-cosmos-offer-autopilot-settings")
	var c throughputContent
	switch {
	case manual == "" && auto == "":
		return nil, nil
	case manual != "" && auto != "":
		return nil, badRequest("x-ms-offer-throughput and x-ms-cosmos-offer-autopilot-settings cannot be given together.")
	case manual != "":
		n, err := strconv.Atoi(manual)
		if err != nil {
			return nil, badRequest("x-ms-offer-throughput is %q, want a number.", manual)
		}
		c.Throughput = n
	default:
		if err := json.Unmarshal([]byte(auto), &c.Autoscale); err != nil || c.Autoscale == nil {
			return nil, badRequest("x-ms-cosmos-offer-autopilot-settings is %q, want {\"maxThroughput\": number}.", auto)
		}
	}
	if e := c.check(); e != nil {
		return nil, e
	}
	return &c, nil
}

// offer keeps the throughput of a new resource; nil is none. The caller holds the server's lock.
func (s *Server) offer(resource, self string, content *throughputContent, now time.Time) {
	if content == nil {
		return
	}
	s.offered++
	// Four letters of base64 without a slash or a plus sign, as the service's.
	rid := ridText(binary.BigEndian.AppendUint32(nil, s.offered)[1:])
	s.offers[resource] = &offer{rid: rid, resource: resource, self: self, content: *content, ts: now.Unix(), etag: s.resourceETag(now.Unix())}
}

func (o *offer) json() []byte {
	content, err := json.Marshal(o.content)
	if err != nil { // numbers always encode
		panic(err)
	}
	return fmt.Appendf(nil, `{"resource":%q,"offerType":"Invalid","offerResourceId":%q,"offerVersion":"V2","content":%s,"id":%q,"_rid":%q,"_self":%q,"_etag":%s,"_ts":%d}`,
		o.self, o.resource, content, o.rid, o.rid, "offers/"+o.rid+"/", quote(o.etag), o.ts)
}

// serveOffers answers requests for /offers: list, query, read and replace (REST reference, "Offers").
func (s *Server) serveOffers(a *answer, r *http.Request, p path) *Error {
	switch {
	case p.feed && isQuery(r):
		return s.queryResources(a, r, s.listOffers())
	case p.feed && r.Method == http.MethodGet:
		return a.page(r, s.listOffers())
	case p.feed || r.Method != http.MethodGet && r.Method != http.MethodPut:
		return methodNotAllowed(r)
	}
	var (
		out reply
		e   *Error
	)
	if r.Method == http.MethodGet {
		out, e = s.readOffer(p.names[0])
	} else {
		out, e = s.replaceOffer(r, p.names[0])
	}
	if e == nil {
		a.set("x-ms-cosmos-min-throughput", strconv.Itoa(minThroughput))
		a.set("x-ms-offer-replace-pending", "false")
	}
	return a.reply(out, e)
}

func (s *Server) listOffers() reply {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([][]byte, 0, len(s.offers))
	for _, o := range sorted(s.offers) {
		list = append(list, o.json())
	}
	return listReply("", "Offers", list)
}

// findOffer finds one by its resource id. The caller holds the server's lock.
func (s *Server) findOffer(rid string) *offer {
	for _, o := range s.offers {
		if o.rid == rid {
			return o
		}
	}
	return nil
}

func (s *Server) readOffer(rid string) (reply, *Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.findOffer(rid)
	if o == nil {
		return reply{}, notFound()
	}
	return reply{status: 200, etag: o.etag, body: o.json()}, nil
}

func (s *Server) replaceOffer(r *http.Request, rid string) (reply, *Error) {
	raw, e := readBody(r)
	if e != nil {
		return reply{}, e
	}
	var sent struct {
		Content throughputContent `json:"content"`
	}
	if err := json.Unmarshal(raw, &sent); err != nil {
		return reply{}, badRequest("The input content is invalid: %v.", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.findOffer(rid)
	if o == nil {
		return reply{}, notFound()
	}
	if e := checkMatch(r.Header.Get("If-Match"), o.etag); e != nil {
		return reply{}, e
	}
	if (sent.Content.Autoscale == nil) != (o.content.Autoscale == nil) {
		return reply{}, badRequest("cosmosfake does not migrate between manual and autoscale throughput.")
	}
	if e := sent.Content.check(); e != nil {
		return reply{}, e
	}
	now := s.clock.now()
	o.content, o.ts, o.etag = sent.Content, now.Unix(), s.resourceETag(now.Unix())
	for _, d := range s.databases {
		for _, c := range d.containers {
			if c.rid == o.resource {
				c.throughput.set(s.limit(&o.content))
			}
		}
	}
	return reply{status: 200, etag: o.etag, body: o.json()}, nil
}
