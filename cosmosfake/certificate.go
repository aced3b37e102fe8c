package cosmosfake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// authority is a certificate authority of the server's own, and the server certificate that it signed. Of a certificate
// that was given, pem is what clients must trust.
type authority struct {
	pem  []byte
	leaf tls.Certificate
}

const (
	// authorityName is the file of a data directory that keeps the authority, with its private key.
	authorityName = "authority.pem"
	day           = 24 * time.Hour
	// An authority that was kept is made anew when it has less than this left.
	renewal = 30 * day
)

// newAuthority makes a certificate for this machine and for hosts, which are names or addresses. It is signed by the
// authority that dir keeps, or that is made and kept there; without dir, it is forgotten.
func newAuthority(dir string, hosts []string) (*authority, error) {
	ca, caKey, err := loadAuthority(dir)
	if err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make server key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now() // real time, also with an injected clock: TLS clients check with theirs
	leaf := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "cosmosfake"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * day),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if leaf.NotAfter.After(ca.NotAfter) {
		leaf.NotAfter = ca.NotAfter
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else if host != "" && !slices.Contains(leaf.DNSNames, host) {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("sign server certificate: %w", err)
	}
	return &authority{
		pem:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}),
		leaf: tls.Certificate{Certificate: [][]byte{leafDER, ca.Raw}, PrivateKey: leafKey},
	}, nil
}

// givenAuthority is for a certificate of somebody else's: clients trust the last of its chain.
func givenAuthority(given tls.Certificate) (*authority, error) {
	if len(given.Certificate) == 0 || given.PrivateKey == nil {
		return nil, wrong("TLS", "has no certificate, or no private key")
	}
	last := given.Certificate[len(given.Certificate)-1]
	return &authority{pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: last}), leaf: given}, nil
}

// serverName is the name that the server's own client asks for, where a given certificate is not for 127.0.0.1.
func (a *authority) serverName() string {
	leaf, err := x509.ParseCertificate(a.leaf.Certificate[0])
	if err != nil || leaf.VerifyHostname("127.0.0.1") == nil || len(leaf.DNSNames) == 0 {
		return ""
	}
	return leaf.DNSNames[0]
}

// loadAuthority reads the authority that dir keeps, or makes one.
func loadAuthority(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	if dir == "" {
		return makeAuthority("")
	}
	name := filepath.Join(dir, authorityName)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read authority: %w", err)
	}
	certificate, rest := pem.Decode(text)
	key, _ := pem.Decode(rest)
	if certificate == nil || key == nil {
		return nil, nil, fmt.Errorf("read authority: %s is damaged; remove it, and let clients trust the new one that is made then", name)
	}
	ca, err := x509.ParseCertificate(certificate.Bytes)
	private, e := x509.ParseECPrivateKey(key.Bytes)
	if err = errors.Join(err, e); err != nil {
		return nil, nil, fmt.Errorf("read authority: %s is damaged; remove it, and let clients trust the new one that is made then: %w", name, err)
	}
	if time.Until(ca.NotAfter) < renewal {
		return makeAuthority(name)
	}
	return ca, private, nil
}

// makeAuthority makes one, and keeps it in a file if that has a name.
func makeAuthority(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make authority key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "cosmosfake authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(10 * 365 * day),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign authority: %w", err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("sign authority: %w", err)
	}
	if name == "" {
		return ca, key, nil
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("keep authority: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})...)
	if err := errors.Join(os.WriteFile(name+".tmp", text, 0o600), os.Rename(name+".tmp", name)); err != nil {
		return nil, nil, fmt.Errorf("keep authority: %w", err)
	}
	return ca, key, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, fmt.Errorf("make certificate serial: %w", err)
	}
	return serial, nil
}
