package azure

import (
	"errors"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/config"
)

func TestParseLocation(t *testing.T) {
	for text, want := range map[string]Location{
		"az://sky/archive":                                          {"sky", "https://sky.blob.core.windows.net", "archive", ""},
		"az://sky/archive/a/b/":                                     {"sky", "https://sky.blob.core.windows.net", "archive", "a/b"},
		"https://sky.blob.core.windows.net/archive/a":               {"sky", "https://sky.blob.core.windows.net", "archive", "a"},
		"https://sky.z01.blob.storage.azure.net/archive":            {"sky", "https://sky.z01.blob.storage.azure.net", "archive", ""},
		"https://sky.blob.core.chinacloudapi.cn/archive":            {"sky", "https://sky.blob.core.chinacloudapi.cn", "archive", ""},
		"http://127.0.0.1:10000/devstoreaccount1/archive/a":         {"devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1", "archive", "a"},
		"http://azurite:10000/devstoreaccount1/archive":             {"devstoreaccount1", "http://azurite:10000/devstoreaccount1", "archive", ""},
		"https://sky.privatelink.blob.core.windows.net/archive/%20": {"sky", "https://sky.privatelink.blob.core.windows.net", "archive", " "},
	} {
		got, err := ParseLocation(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"az://sky":              "container \"\" is no container's name",
		"az://Sky/archive":      `account "Sky" is no account's name`,
		"az://sky/Archive":      `container "Archive"`,
		"az://sky/ab":           `container "ab"`,
		"az://sky/a--b":         `container "a--b"`,
		"az://sky/archive/a//b": `segment "" is not allowed`,
		"https://sky.blob.core.windows.net/a?sig=s3cr3t": "goes into archive.sas",
		"https://sky.dfs.core.windows.net/archive":       "is no blob endpoint",
		"https://files.example.com/archive":              "BlobEndpoint",
		"https://sky-secondary.blob.core.windows.net/a":  "is no account's name",
		"s3://bucket/archive":                            `scheme "s3" is not known`,
		"az://sky/archive#x":                             "no query, fragment or user",
	} {
		_, err := ParseLocation(text)
		var mistake *LocationError
		if err == nil || !errors.As(err, &mistake) || mistake.ExitCode() != 2 || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got %v want %q without the secret", text, err, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	secret := config.NewSecret
	for _, test := range []struct {
		name, at string
		opts     Options
		want     string
	}{
		{"two secrets", "az://sky/archive", Options{AccountKey: secret("a2V5"), SAS: secret("sig=x")}, "keep one"},
		{"key that is none", "az://sky/archive", Options{AccountKey: secret("s3cr3t!")}, "not Base64"},
		{"signature that is none", "az://sky/archive", Options{SAS: secret("s3cr3t")}, "has no sig"},
		{"text that is no connection string", "az://sky/archive", Options{ConnectionString: secret("s3cr3t")}, "not of the form"},
		{"connection string without a secret", "az://sky/archive", Options{ConnectionString: secret("AccountName=sky")}, "neither AccountKey nor SharedAccessSignature"},
		{"connection string of another account", "az://sky/archive", Options{ConnectionString: secret("AccountName=sea;AccountKey=a2V5")}, "of account sea, the location of account sky"},
		{"signature without TLS", "http://sky.blob.core.windows.net/archive", Options{SAS: secret("sig=s3cr3t")}, "http://sky.blob.core.windows.net is not encrypted"},
		{"key without TLS", "http://sky.blob.core.windows.net/archive", Options{AccountKey: secret("a2V5")}, "is not encrypted"},
		{"key without TLS to another machine", "http://10.0.0.1:10000/devstoreaccount1/archive", Options{AccountKey: secret("a2V5")}, "is not encrypted"},
		{"connection string without TLS", "az://sky/archive", Options{ConnectionString: secret("DefaultEndpointsProtocol=http;AccountName=sky;AccountKey=a2V5;EndpointSuffix=x.y")}, "http://sky.blob.x.y is not encrypted"},
		{"endpoint without TLS", "az://sky/archive", Options{ConnectionString: secret("BlobEndpoint=http://sky.x.y;SharedAccessSignature=sig=s3cr3t")}, "http://sky.x.y is not encrypted"},
		{"token without TLS", "http://127.0.0.1:10000/devstoreaccount1/archive", Options{Credential: token{}}, "https endpoints only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := ParseLocation(test.at)
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(at, test.opts)
			var mistake *LocationError
			if !errors.As(err, &mistake) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("got %v want %q without the secret", err, test.want)
			}
		})
	}
}

func TestConnectionStringNamesTheEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"AccountName=sky;AccountKey=a2V5": "https://sky.blob.core.windows.net/archive",
		"DefaultEndpointsProtocol=http;AccountName=sky;AccountKey=a2V5;EndpointSuffix=x.y;BlobEndpoint=https://sky.x.y": "https://sky.x.y/archive",
		"AccountName=sky;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn;":                                         "https://sky.blob.core.chinacloudapi.cn/archive",
		"BlobEndpoint=https://blobs.example.com/;SharedAccessSignature=sv=1&sig=a%3D":                                   "https://blobs.example.com/archive",
	} {
		at, err := ParseLocation("az://sky/archive")
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(at, Options{ConnectionString: config.NewSecret(text)})
		if err != nil || s.Location().String() != want {
			t.Errorf("got %v, %v want %s", s, err, want)
		}
	}
}

// TestAllowHTTP: what is asked for by name is given, and known to be exposed; Entra ID's tokens go by https all the same.
func TestAllowHTTP(t *testing.T) {
	for _, test := range []struct {
		name, at string
		opts     Options
		exposed  bool
		err      string
	}{
		{"key", "http://azurite:10000/devstoreaccount1/archive", Options{AccountKey: config.NewSecret("a2V5")}, true, ""},
		{"signature", "http://azurite:10000/devstoreaccount1/archive", Options{SAS: config.NewSecret("sig=x")}, true, ""},
		{
			"connection string", "az://devstoreaccount1/archive",
			Options{ConnectionString: config.NewSecret("AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint=http://azurite.example:10000/devstoreaccount1")},
			true, "",
		},
		{"this machine", "http://localhost:10000/devstoreaccount1/archive", Options{AccountKey: config.NewSecret("a2V5")}, false, ""},
		{"encrypted", "az://sky/archive", Options{AccountKey: config.NewSecret("a2V5")}, false, ""},
		{"token", "http://azurite:10000/devstoreaccount1/archive", Options{Credential: token{}}, false, "https endpoints only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := ParseLocation(test.at)
			if err != nil {
				t.Fatal(err)
			}
			test.opts.AllowHTTP = true
			store, err := New(at, test.opts)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v want %q", err, test.err)
				}
				return
			}
			if err != nil || store.Exposed() != test.exposed {
				t.Fatalf("got %v, %v want exposed: %v", store, err, test.exposed)
			}
		})
	}
}

// TestThisMachineNeedsNoTLS: Azurite speaks http.
func TestThisMachineNeedsNoTLS(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "127.1.2.3", "[::1]", "localhost"} {
		at, err := ParseLocation("http://" + host + ":10000/devstoreaccount1/archive")
		if err != nil {
			t.Fatal(err)
		}
		for _, opts := range []Options{{AccountKey: config.NewSecret("a2V5")}, {SAS: config.NewSecret("sig=x")}} {
			if _, err := New(at, opts); err != nil {
				t.Errorf("%s: got %v want a store", host, err)
			}
		}
	}
}
