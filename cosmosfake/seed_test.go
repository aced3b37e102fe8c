package cosmosfake_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestIDsOfAnotherStart: containers of another start are others, unless a seed or a folder says that they are the same.
func TestIDsOfAnotherStart(t *testing.T) {
	// ids are the resource ids of a database and two of its containers; of the second only where the first is kept.
	ids := func(o cosmosfake.Options) [3]string {
		t.Helper()
		s, err := cosmosfake.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		c := rest{t, s}
		var got [3]string
		read := func(path string, create func()) string {
			res := c.do("GET", path, "")
			if res.status == 404 {
				create()
				res = c.do("GET", path, "")
			}
			var one struct {
				RID string `json:"_rid"`
			}
			if err := json.Unmarshal(res.body, &one); err != nil || one.RID == "" {
				t.Fatalf("%s: got %d %s, want a resource id", path, res.status, res.body)
			}
			return one.RID
		}
		got[0] = read("/dbs/shop", func() { c.do("POST", "/dbs", `{"id":"shop"}`) })
		for i, name := range []string{"orders", "carts"} {
			got[i+1] = read("/dbs/shop/colls/"+name, func() {
				c.do("POST", "/dbs/shop/colls", `{"id":"`+name+`","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`)
			})
		}
		return got
	}
	kept := cosmosfake.Options{Dir: filepath.Join(t.TempDir(), "data")}
	for _, test := range []struct {
		name          string
		first, second cosmosfake.Options
		same          bool
	}{
		{"two starts", cosmosfake.Options{}, cosmosfake.Options{}, false},
		{"a seed", cosmosfake.Options{Seed: 7}, cosmosfake.Options{Seed: 7}, true},
		{"two seeds", cosmosfake.Options{Seed: 7}, cosmosfake.Options{Seed: 8}, false},
		{"a folder", kept, kept, true},
	} {
		first, second := ids(test.first), ids(test.second)
		if first[1] == first[2] {
			t.Errorf("%s: got %q for two containers", test.name, first)
		}
		for i := range first {
			if (first[i] == second[i]) != test.same {
				t.Errorf("%s: got %q and %q, want the same: %v", test.name, first[i], second[i], test.same)
			}
		}
	}
}
