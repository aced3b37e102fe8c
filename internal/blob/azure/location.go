package azure

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// publicSuffix is the blob service of Azure's public cloud. Other clouds are named by the https form.
const publicSuffix = ".blob.core.windows.net"

// Location is an account, a container, and what all names in it begin with.
type Location struct {
	Account   string
	Endpoint  string // of the account's blob service, without a final slash
	Container string
	Prefix    string // without slashes at its ends; may be empty
}

// LocationError is a mistake in the configuration: nothing was asked of the service.
type LocationError struct{ Err error }

func (e *LocationError) Error() string { return e.Err.Error() }
func (e *LocationError) Unwrap() error { return e.Err }

// ExitCode is 2: usage or configuration.
func (e *LocationError) ExitCode() int { return 2 }

// ParseLocation reads one of
//
//	az://account/container/prefix
//	https://account.blob.core.windows.net/container/prefix   (or another cloud's blob endpoint)
//	http://127.0.0.1:10000/devstoreaccount1/container/prefix  (Azurite; at another machine see Options.AllowHTTP)
//
// The prefix may be left out. Its error is a *LocationError and never shows a query, which may be a SAS.
func ParseLocation(text string) (Location, error) {
	at, err := parseLocation(text)
	if err != nil {
		shown, _, _ := strings.Cut(text, "?")
		return Location{}, &LocationError{fmt.Errorf("read location %q: %w; want az://account/container/prefix or https://account%s/container/prefix",
			shown, err, publicSuffix)}
	}
	return at, nil
}

func parseLocation(text string) (Location, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Location{}, errors.New("it is no URL")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return Location{}, errors.New("a location holds no query, fragment or user; a shared access signature goes into archive.sas")
	}
	var at Location
	path := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "az":
		at.Account, at.Endpoint = u.Host, "https://"+u.Host+publicSuffix
	case "https", "http":
		if at.Account, path, err = accountOf(u, path); err != nil {
			return Location{}, err
		}
		at.Endpoint = u.Scheme + "://" + u.Host
		if isPathStyle(u) {
			at.Endpoint += "/" + at.Account
		}
	default:
		return Location{}, fmt.Errorf("scheme %q is not known", u.Scheme)
	}
	at.Container, at.Prefix, _ = strings.Cut(path, "/")
	return at, at.check()
}

// isPathStyle says whether the account stands in the path, as it does at emulators.
func isPathStyle(u *url.URL) bool {
	return net.ParseIP(u.Hostname()) != nil || !strings.Contains(u.Hostname(), ".")
}

func accountOf(u *url.URL, path string) (account, rest string, err error) {
	if isPathStyle(u) {
		account, rest, _ = strings.Cut(path, "/")
		return account, rest, nil
	}
	account, service, _ := strings.Cut(u.Hostname(), ".")
	// account.blob.core.windows.net, and account.z01.blob.storage.azure.net
	if !strings.HasPrefix(service, "blob.") && !strings.Contains(service, ".blob.") {
		return "", "", fmt.Errorf("host %s is no blob endpoint (account.blob.…); "+
			"for a domain of your own give az://account/container/prefix and name the domain as BlobEndpoint in archive.connection_string", u.Hostname())
	}
	return account, path, nil
}

func (l Location) check() error {
	if !regexp.MustCompile(`^[a-z0-9]{3,24}$`).MatchString(l.Account) {
		return fmt.Errorf("account %q is no account's name (3 to 24 lower-case letters and digits)", l.Account)
	}
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(l.Container) || len(l.Container) < 3 || len(l.Container) > 63 {
		return fmt.Errorf("container %q is no container's name (3 to 63 lower-case letters, digits and single hyphens)", l.Container)
	}
	if l.Prefix == "" {
		return nil
	}
	return blob.CheckName(l.Prefix)
}

// String is the location's URL, which holds no secret.
func (l Location) String() string {
	if l.Prefix == "" {
		return l.url()
	}
	return l.url() + "/" + l.Prefix
}

func (l Location) url() string { return l.Endpoint + "/" + l.Container }

// full is an object's name in the container.
func (l Location) full(name string) string {
	if l.Prefix == "" {
		return name
	}
	return l.Prefix + "/" + name
}

// short is the inverse of full.
func (l Location) short(full string) string {
	if l.Prefix == "" {
		return full
	}
	return strings.TrimPrefix(full, l.Prefix+"/")
}

// connection takes endpoint and secret from the text that the portal shows. It must be of the same account.
func (l Location) connection(text string) (at Location, key, signature string, err error) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return l, "", "", &LocationError{errors.New("archive.connection_string is not of the form Name=value;Name=value…; copy it from the account's access keys")}
		}
		fields[strings.ToLower(name)] = value
	}
	account, endpoint := fields["accountname"], fields["blobendpoint"]
	if account != "" && account != l.Account {
		return l, "", "", &LocationError{fmt.Errorf("archive.connection_string is of account %s, the location of account %s", account, l.Account)}
	}
	switch {
	case endpoint != "":
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return l, "", "", &LocationError{errors.New("BlobEndpoint in archive.connection_string is no endpoint; want https://host/ without user or query, and a signature as SharedAccessSignature")}
		}
		l.Endpoint = strings.TrimSuffix(endpoint, "/")
	case fields["endpointsuffix"] != "":
		scheme := fields["defaultendpointsprotocol"]
		if scheme == "" {
			scheme = "https"
		}
		l.Endpoint = scheme + "://" + l.Account + ".blob." + fields["endpointsuffix"]
	}
	key, signature = fields["accountkey"], fields["sharedaccesssignature"]
	if key == "" && signature == "" {
		return l, "", "", &LocationError{errors.New("archive.connection_string has neither AccountKey nor SharedAccessSignature; copy it whole from the account's access keys")}
	}
	return l, key, signature, nil
}

// Exposed says whether everybody on the way can use a key or read a signature, and read all documents: by http to another
// machine. Nobody is on the way to this machine, where Azurite is.
func (l Location) Exposed() bool {
	u, err := url.Parse(l.Endpoint)
	return err == nil && u.Scheme != "https" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback() // what is no address fails by itself
}
