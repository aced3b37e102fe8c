package schemas

import "testing"

func TestAppendWithoutSystem(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"spliced", `{"id":"1","a":1e400,"_rid":"r","_self":"s","_etag":"\"e\"","_attachments":"attachments/","_ts":1,"_lsn":2}`, `{"id":"1","a":1e400}`},
		{"blank before brace", `{ "id" : "x" ,"_rid":"r","_lsn":2}`, `{ "id" : "x" }`},
		{"newline before brace", "{\n  \"id\": \"x\"\n,\"_rid\":\"r\",\"_ts\":2}", "{\n  \"id\": \"x\"\n}"},
		{"none", `{"id":"1"}`, `{"id":"1"}`},
		{"nested kept", `{"id":"1","n":{"_ts":1},"_ts":1}`, `{"id":"1","n":{"_ts":1}}`},
		{"first", `{"_rid":"r","id":"1","_ts":4}`, `{"id":"1"}`},
		{"first two", `{ "_rid":"r", "_ts":4, "id":"1"}`, `{ "id":"1"}`},
		{"only", `{"_rid":"r"}`, `{}`},
		{"middle", `{"id":"1", "_ts":4 , "b":2}`, `{"id":"1" , "b":2}`},
		{"brace in string", `{"id":"}{\"","_ts":4}`, `{"id":"}{\""}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendWithoutSystem(nil, []byte(tt.in))
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}
