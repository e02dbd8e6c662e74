package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate writes an authority (ca.pem) and a server's certificate by it (cert.pem, key.pem) into -dir. They hold for a day and for this run.
func certificate(o options) error {
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caBytes, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: authority}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{authority}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	serverBytes, err := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for name, block := range map[string]*pem.Block{
		"ca":   {Type: "CERTIFICATE", Bytes: caBytes},
		"cert": {Type: "CERTIFICATE", Bytes: serverBytes},
		"key":  {Type: "PRIVATE KEY", Bytes: keyBytes},
	} {
		files[name] = filepath.Join(o.dir, name+".pem")
		if err := os.WriteFile(files[name], pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return say(files)
}
