package restorer

import (
	"fmt"
	"strings"
	"testing"
)

func TestTargetDefinition(t *testing.T) {
	const key = `"partitionKey":{"paths":["/k"],"kind":"Hash","version":2}`
	tests := []struct {
		name, resource, want, stripped string
	}{
		{
			"system properties go",
			`{"id":"products",` + key + `,"_rid":"r","_ts":1,"_self":"s","_etag":"\"e\"","_docs":"docs/","_sprocs":"sprocs/","_triggers":"t","_udfs":"u","_conflicts":"c"}`,
			`{"id":"copy \"2\"",` + key + `}`, "_rid _ts _self _etag _docs _sprocs _triggers _udfs _conflicts",
		},
		{
			"what azcosmos would drop stays, byte for byte",
			`{ "computedProperties" : [ {"name":"x","query":"SELECT VALUE 1.0"} ],"id":"products","geospatialConfig":{"type":"Geography"},"vectorEmbeddingPolicy":{"n":1e3}}`,
			`{"id":"copy \"2\"","computedProperties":[ {"name":"x","query":"SELECT VALUE 1.0"} ],"geospatialConfig":{"type":"Geography"},"vectorEmbeddingPolicy":{"n":1e3}}`, "",
		},
		{
			"retention of the change feed goes",
			`{"id":"p","changeFeedPolicy":{"retentionDuration":1440,"other":1}}`,
			`{"id":"copy \"2\"","changeFeedPolicy":{"other":1}}`, "changeFeedPolicy.retentionDuration",
		},
		{
			"and the policy when it was all",
			`{"id":"p","changeFeedPolicy":{"retentionDuration":1440}}`, `{"id":"copy \"2\""}`, "changeFeedPolicy.retentionDuration",
		},
		{
			"how the source was made goes",
			`{"id":"p","restoreParameters":{"a":1},"createMode":"Restore"}`, `{"id":"copy \"2\""}`, "restoreParameters createMode",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, stripped, err := targetDefinition([]byte(test.resource), `copy "2"`)
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v\nwant %s", got, err, test.want)
			}
			var names []string
			for _, s := range stripped {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); got != test.stripped {
				t.Errorf("got stripped %s, want %s", got, test.stripped)
			}
		})
	}
	for _, torn := range []string{"", "[]", `{"id"`, `{"id":"p","changeFeedPolicy":1}`, `{"id":"p"`} {
		if _, _, err := targetDefinition([]byte(torn), "x"); err == nil {
			t.Errorf("got no error of definition %q", torn)
		}
	}
}

func TestDefinitionDifferences(t *testing.T) {
	const want = `{"id":"x","partitionKey":{"paths":["/k"],"kind":"Hash"},"indexingPolicy":{"automatic":true}}`
	tests := []struct{ name, have, fatal, other string }{
		{"the same, otherwise written", `{"indexingPolicy":{ "automatic" : true },"id":"y","partitionKey":{"kind":"Hash","paths":["/k"]},"_rid":"r"}`, "[]", "[]"},
		{"another key", `{"id":"y","partitionKey":{"paths":["/other"],"kind":"Hash"},"indexingPolicy":{"automatic":true}}`, "[partitionKey]", "[]"},
		{"no indexing policy", `{"id":"y","partitionKey":{"paths":["/k"],"kind":"Hash"}}`, "[]", "[indexingPolicy]"},
		{"a time to live", `{"id":"y","partitionKey":{"paths":["/k"],"kind":"Hash"},"indexingPolicy":{"automatic":true},"defaultTtl":60}`, "[defaultTtl]", "[]"},
		{"an empty unique key policy", `{"id":"y","partitionKey":{"paths":["/k"],"kind":"Hash"},"indexingPolicy":{"automatic":true},"uniqueKeyPolicy":{"uniqueKeys":[]}}`, "[]", "[]"},
		{"a unique key", `{"id":"y","partitionKey":{"paths":["/k"],"kind":"Hash"},"indexingPolicy":{"automatic":true},"uniqueKeyPolicy":{"uniqueKeys":[{"paths":["/a"]}]}}`, "[uniqueKeyPolicy]", "[]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fatal, other, err := definitionDifferences([]byte(want), []byte(test.have))
			if err != nil || fmt.Sprint(fatal) != test.fatal || fmt.Sprint(other) != test.other {
				t.Errorf("got %v, %v, %v, want %s, %s", fatal, other, err, test.fatal, test.other)
			}
		})
	}
}
