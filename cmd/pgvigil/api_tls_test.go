package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog/api"
)

// certificate writes a certificate for 127.0.0.1, which is its own CA, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	donor := httptest.NewUnstartedServer(nil)
	donor.StartTLS()
	defer donor.Close()
	pair := donor.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestOperatorsByTLS(t *testing.T) {
	_, store := twoMembers(t, startStore(t))
	cert, key := certificate(t)
	security, err := apiTLS(config.APITLS{Listen: "127.0.0.1:0", Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	server := api.NewServer(sidecarOf{"node1", store}, api.Options{
		Listen: "127.0.0.1:0", TLSListen: "127.0.0.1:0", TLS: security, Cluster: "orders",
		Operators: api.Operators{Store: store, Token: operatorsToken, Clock: time.Now},
	})
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	secure, plain := "https://"+server.TLSAddr().String(), "http://"+server.Addr().String()
	for _, test := range []struct {
		name string
		line []string
		code int
		says string
	}{
		{"with the CA", []string{"--api", secure, "--api-ca", cert}, exitOK, "cluster orders"},
		{"without it", []string{"--api", secure}, exitEtcd, "certificate"},
		{"with something else for a CA", []string{"--api", secure, "--api-ca", key}, exitConfig, "no certificate in PEM form"},
		{"without TLS", []string{"--api", plain}, exitEtcd, "operators are served by TLS"},
	} {
		code, out, errs := command(t, append([]string{"status", "--token", operatorsToken}, test.line...)...)
		if code != test.code || !strings.Contains(out+errs, test.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", test.name, code, test.code, test.says, out, errs)
		}
	}
}

func TestACertificateThatCannotBeRead(t *testing.T) {
	cert, key := certificate(t)
	for name, c := range map[string]config.APITLS{
		"absent": {Listen: ":1", Cert: cert, Key: "/nonexistent"}, "swapped": {Listen: ":1", Cert: key, Key: cert},
	} {
		if _, err := apiTLS(c); err == nil || !strings.Contains(err.Error(), "api.tls.cert and api.tls.key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if security, err := apiTLS(config.APITLS{}); security != nil || err != nil {
		t.Errorf("none: %v, %v", security, err)
	}
}
