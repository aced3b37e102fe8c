package schemas

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEPKGolden compares with the vectors that azcosmos carries (they come from the .NET SDK's baseline tests).
// They stand unmasked there; the service's ranges need the first byte of each component below 40.
func TestEPKGolden(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos").Output()
	if err != nil {
		t.Fatalf("find azcosmos: %v", err)
	}
	seen := 0
	for _, file := range []string{"Numbers", "Strings", "Singletons"} {
		var results struct {
			Result []struct {
				Description string `xml:"Input>Description"`
				Value       string `xml:"Input>PartitionKeyValue"`
				Hash        string `xml:"Output>PartitionKeyHashV2"`
			}
		}
		path := filepath.Join(strings.TrimSpace(string(dir)), "internal/epk/testdata", "PartitionKeyHashBaselineTest."+file+".xml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(text, &results); err != nil {
			t.Fatal(err)
		}
		for _, r := range results.Result {
			value := strings.TrimSpace(r.Value)
			switch value {
			case "UNDEFINED":
				value = "{}"
			case "\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "NaN", "Infinity", "-Infinity":
				continue // no JSON value of a document is one of these
			}
			if strings.Contains(r.Description, "NaN") || strings.Contains(r.Description, "nfinity") {
				continue
			}
			d := KeyDefinition{Paths: [][]string{{"k"}}}
			_, epk, err := d.ParsePartitionKey([]byte("[" + value + "]"))
			if err != nil {
				t.Errorf("%s %s: %v", file, r.Description, err)
				continue
			}
			if got, want := HexEPK(epk), mask(r.Hash); got != want {
				t.Errorf("%s %s %s: got %s, want %s", file, r.Description, value, got, want)
			}
			seen++
		}
	}
	if seen < 20 {
		t.Errorf("only %d vectors were compared", seen)
	}
}

func mask(hash string) string {
	const low = "0123012301230123"
	return string(low[strings.IndexByte("0123456789ABCDEF", hash[0])]) + hash[1:]
}

func TestMultiHashIsPerLevel(t *testing.T) {
	single := KeyDefinition{Paths: [][]string{{"a"}}}
	multi := KeyDefinition{Paths: [][]string{{"a"}, {"b"}, {"c"}}, Multi: true}
	_, got, err := multi.ParsePartitionKey([]byte(`["eu", 42, {}]`))
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for _, level := range []string{`["eu"]`, `[42]`, `[{}]`} {
		_, one, err := single.ParsePartitionKey([]byte(level))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, one...)
	}
	if HexEPK(got) != HexEPK(want) || len(got) != EPKLimit {
		t.Errorf("got %s, want %s", HexEPK(got), HexEPK(want))
	}
}

func TestCanonicalKey(t *testing.T) {
	tests := []struct{ in, want string }{
		{`[1.0]`, `[1]`},
		{`[1e2]`, `[100]`},
		{`[0.000001]`, `[0.000001]`},
		{`[1e-7]`, `[1e-7]`},
		{`[1e21]`, `[1e+21]`},
		{`[-0]`, `[-0]`},
		{`[9007199254740993]`, `[9007199254740992]`},
		{`["a/\u00e9\u000a\"\\"]`, `["a/é\n\"\\"]`},
		{`["\ud83d\ude00"]`, `["😀"]`},
		{`["\u007f\u0001"]`, "[\"\u007f\\u0001\"]"},
		{`[null]`, `[null]`},
		{`[ true ]`, `[true]`},
		{`[{}]`, `[{}]`},
		{`[[1]]`, `[{}]`},
	}
	d := KeyDefinition{Paths: [][]string{{"k"}}}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, _, err := d.ParsePartitionKey([]byte(tt.in))
			if err != nil || got != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("%s is no JSON", got)
			}
		})
	}
	for _, bad := range []string{`[1e400]`, `["\ud800"]`, `[1,2]`, `{}`, ``} {
		if got, _, err := d.ParsePartitionKey([]byte(bad)); err == nil {
			t.Errorf("%s: got %s, want an error", bad, got)
		}
	}
}

// A key in another form is refused with the form that was meant, and a wrong number of values with the paths.
func TestPartitionKeyRefusalsSayWhatToWrite(t *testing.T) {
	d, err := ParseKeyDefinition([]byte(`{"partitionKey":{"paths":["/tenant","/user/\"a/b\""],"kind":"MultiHash","version":2}}`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`"k3"`:      `such as ["k3"]`,
		`k3`:        `such as ["k3"]`,
		`42`:        `such as [42]`,
		`{"a":1}`:   `want a JSON array of its values`,
		`null`:      `such as [null]`,
		``:          `want a JSON array of its values`,
		` `:         `want a JSON array of its values`,
		`['k3']`:    `such as ["k3"]`,
		`["k3"]`:    `want one value for each of the container's paths /tenant, /user/"a/b", got 1`,
		`[1,2,"3"]`: `paths /tenant, /user/"a/b", got 3`,
	} {
		if _, _, err := d.ParsePartitionKey([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that says %s", in, err, want)
		}
	}
}
