package oracle

import (
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHashAgainstTheServiceVectors reads the vectors of the Azure SDK where they lie. They are the bare hashes,
// without the mask on the first byte.
func TestHashAgainstTheServiceVectors(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "internal", "epk", "testdata", "*.xml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got files %v, error %v, want vectors", files, err)
	}
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors struct {
			Result []struct {
				Description string `xml:"Input>Description"`
				Value       string `xml:"Input>PartitionKeyValue"`
				Hash        string `xml:"Output>PartitionKeyHashV2"`
			}
		}
		if err := xml.Unmarshal(text, &vectors); err != nil {
			t.Fatal(err)
		}
		for _, v := range vectors.Result {
			if strings.Contains(v.Description, "NaN") || strings.Contains(v.Description, "Infinity") {
				continue // no JSON number
			}
			var values []any
			if err := json.Unmarshal([]byte("["+strings.TrimSpace(v.Value)+"]"), &values); err != nil {
				continue // "undefined" is no JSON
			}
			if list, ok := values[0].([]any); ok {
				values = list
			}
			var got []byte
			for _, value := range values {
				input, err := hashInput(value)
				if err != nil {
					t.Fatalf("%s: %v", v.Description, err)
				}
				got = append(got, sum128(input)...)
			}
			if got := strings.ToUpper(hex.EncodeToString(got)); got != v.Hash {
				t.Errorf("%s: got %s want %s", v.Description, got, v.Hash)
			}
			checked++
		}
	}
	if checked < 15 {
		t.Errorf("got %d vectors, want 15 and more", checked)
	}
}

func TestEPK(t *testing.T) {
	for _, test := range []struct{ name, key, kind, want string }{
		{"zero, masked", `[0]`, "Hash", "155B95BEDAC4B1E9EC1CDC9BB0DDDE58"},
		{"each level by itself", `["/path1","/path2"]`, "MultiHash", "3499FD5198AE0F1EB6B77F6E428D2FF027A1848BD1102A3B65AFF266874D0FF5"},
	} {
		got, err := EPK(test.key, test.kind)
		if err != nil || got != test.want {
			t.Errorf("%s: got %s, error %v, want %s", test.name, got, err, test.want)
		}
	}
}

func TestSpanPadsItsBounds(t *testing.T) {
	for _, test := range []struct {
		span Span
		epk  string
		want bool
	}{
		{Span{"", "FF"}, "00", true},
		{Span{"10", "20"}, "10", true},
		{Span{"1000", "20"}, "10", true},
		{Span{"10", "2000"}, "20", false},
		{Span{"10", "20"}, "1FFF", true},
	} {
		if got := test.span.Holds(test.epk); got != test.want {
			t.Errorf("%s holds %s: got %v want %v", test.span, test.epk, got, test.want)
		}
	}
}
