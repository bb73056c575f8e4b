package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	kubeconfigutil "k8s.io/kubernetes/cmd/kubeadm/app/util/kubeconfig"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
)

// authorities live at k3s' paths below server/tls.
var authorities = []string{"server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"}

type subject struct {
	name, group string
	// Addresses and names; none makes a client certificate, any a certificate for both ends.
	sans []string
}

func (o *options) ensureAuthorities() error {
	for _, name := range authorities {
		if exists(o.tls(name + ".key")) {
			continue
		}
		config := &pkiutil.CertConfig{Config: certutil.Config{CommonName: "k3s-" + name}, EncryptionAlgorithm: kubeadm.EncryptionAlgorithmECDSAP256}
		cert, key, err := pkiutil.NewCertificateAuthority(config)
		if err != nil {
			return err
		}
		if err := pkiutil.WriteCertAndKey(o.tls(""), name, cert, key); err != nil {
			return err
		}
	}
	_, _, err := keyutil.LoadOrGenerateKeyFile(o.tls("service.key"))
	return err
}

// issue writes PATH.crt and PATH.key, valid for a year, signed by one of our authorities. Every start does so anew.
func (o *options) issue(authority, path string, s subject) error {
	ca, caKey, err := pkiutil.TryLoadCertAndKeyFromDisk(o.tls(""), authority)
	if err != nil {
		return err
	}
	config := &pkiutil.CertConfig{NotAfter: time.Now().AddDate(1, 0, 0), EncryptionAlgorithm: kubeadm.EncryptionAlgorithmECDSAP256}
	config.CommonName, config.Usages = s.name, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if s.group != "" {
		config.Organization = []string{s.group}
	}
	for _, san := range s.sans {
		if ip := net.ParseIP(san); ip != nil {
			config.AltNames.IPs = append(config.AltNames.IPs, ip)
		} else {
			config.AltNames.DNSNames = append(config.AltNames.DNSNames, san)
		}
	}
	if len(s.sans) > 0 {
		config.Usages = append(config.Usages, x509.ExtKeyUsageServerAuth)
	}
	cert, key, err := pkiutil.NewCertAndKey(ca, caKey, config)
	if err != nil {
		return err
	}
	return pkiutil.WriteCertAndKey(filepath.Dir(path), filepath.Base(path), cert, key)
}

// writeKubeconfig makes a self-contained kubeconfig from CERT.crt and CERT.key.
func (o *options) writeKubeconfig(path, server, cert string, mode os.FileMode) error {
	var parts [3][]byte
	for i, name := range []string{o.tls("server-ca.crt"), cert + ".key", cert + ".crt"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parts[i] = content
	}
	content, err := clientcmd.Write(*kubeconfigutil.CreateWithCerts(server, "default", "default", parts[0], parts[1], parts[2]))
	if err != nil {
		return err
	}
	return writeFile(path, content, mode)
}

// ensureToken settles the secret that lets nodes join, and writes it in k3s' form: K10<hash of the CA>::server:<secret>.
func (o *options) ensureToken() error {
	path := filepath.Join(o.dataDir, "server", "token")
	stored, err := os.ReadFile(path)
	secret := tokenSecret(o.token)
	switch kept := tokenSecret(strings.TrimSpace(string(stored))); {
	case err == nil && secret != "" && secret != kept:
		return errors.New("--token differs from the one this server was made with")
	case err == nil:
		secret = kept
	case secret == "":
		secret = strings.ToLower(rand.Text())
	}
	ca, err := os.ReadFile(o.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	o.token = fmt.Sprintf("K10%x::server:%s", sha256.Sum256(ca), secret)
	return errors.Join(writeFile(path, []byte(o.token+"\n"), 0o600),
		writeFile(filepath.Join(o.dataDir, "server", "node-token"), []byte(o.token+"\n"), 0o600))
}

// tokenSecret is what a token proves; a short token is its own secret.
func tokenSecret(token string) string {
	if strings.HasPrefix(token, "K10") {
		return token[strings.LastIndex(token, ":")+1:]
	}
	return token
}
