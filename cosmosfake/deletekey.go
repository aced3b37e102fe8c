package cosmosfake

import "net/http"

// deletionOfKey is the operation POST /dbs/{db}/colls/{coll}/operations/partitionkeydelete.
const deletionOfKey = "partitionkeydelete"

// deleteKey deletes all items of one partition key (azure-cosmos-dotnet-v3, PartitionKeyDeleteTest, has the statuses and
// the text). The service does it in the background and shows none of them from the answer on. Here they are gone with the
// answer, each under an LSN of its own, oldest first.
func (s *Server) deleteKey(a *answer, r *http.Request, c *container) *Error {
	if r.Method != http.MethodPost {
		return methodNotAllowed(r)
	}
	pk, epk, e := readKey(r, c)
	if e != nil {
		return &Error{Status: 400, Substatus: 1001, Code: "BadRequest", Message: "Partition key provided either doesn't correspond to " +
			"definition in the collection or doesn't match partition key field values specified in the document."}
	}
	t, e := s.begin(c, epk, priorityOf(r))
	if e != nil {
		return e
	}
	charge, at, e := t.deleteAll(pk)
	if e != nil {
		return e
	}
	a.position(at)
	a.charge(max(charge, 1))
	a.send(http.StatusOK, nil)
	return nil
}

// deleteAll deletes the items of a key, and unlocks.
func (t *transaction) deleteAll(pk string) (charge float64, _ position, _ *Error) {
	defer t.p.mu.Unlock()
	var all []*version
	for _, slot := range t.p.log {
		if v := slot.v; v != nil && v.end == 0 && v.pk() == pk && (t.lives == nil || t.lives(v)) {
			all = append(all, v)
		}
	}
	for _, v := range all {
		one := &transaction{s: t.s, c: t.c, p: t.p, time: t.time, lsn: t.p.newest + 1}
		one.delete(v)
		if e := one.apply(); e != nil {
			return charge, position{}, e
		}
		charge += writeCharge(len(v.body))
	}
	t.p.meter.spend(charge)
	return charge, t.p.position(), nil
}
