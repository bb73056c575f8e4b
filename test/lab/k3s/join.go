package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Nodes join through the API itself, not k3s' supervisor protocol: the token is a static token of the API server's,
// and a Secret holds the authorities with their keys, agents' included. Good enough for a lab only.
const joinSecret = "croft-lab-join"

func (o *options) tokenFile() string { return filepath.Join(o.dataDir, "server", "cred", "tokens.csv") }

func (o *options) writeTokenFile() error {
	return writeFile(o.tokenFile(), []byte(tokenSecret(o.token)+",croft-lab-join,croft-lab-join,system:masters\n"), 0o600)
}

// A Secret's keys have no slashes.
func joinKey(name string) string { return strings.ReplaceAll(name, "/", "..") }

func (o *options) authorityFiles() []string {
	names := []string{"service.key"}
	for _, authority := range authorities {
		names = append(names, authority+".crt", authority+".key")
	}
	return names
}

// publish lets others join, from the moment the API is ready.
func (o *options) publish(ctx context.Context, client kubernetes.Interface) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: joinSecret}, Data: map[string][]byte{}}
	for _, name := range o.authorityFiles() {
		content, err := os.ReadFile(o.tls(name))
		if err != nil {
			return err
		}
		secret.Data[joinKey(name)] = content
	}
	_, err := client.CoreV1().Secrets("kube-system").Create(ctx, secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// join fetches the authorities from the server of --server, asking until it answers.
func (o *options) join(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: o.server, BearerToken: tokenSecret(o.token),
		Timeout: 10 * time.Second, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	if err != nil {
		return err
	}
	for {
		secret, err := client.CoreV1().Secrets("kube-system").Get(ctx, joinSecret, metav1.GetOptions{})
		if err == nil {
			sum := fmt.Sprintf("K10%x::", sha256.Sum256(secret.Data["server-ca.crt"]))
			if strings.HasPrefix(o.token, "K10") && !strings.HasPrefix(o.token, sum) {
				return errors.New("the server's CA is not the one the token names")
			}
			for _, name := range o.authorityFiles() {
				err = errors.Join(err, writeFile(o.tls(name), secret.Data[joinKey(name)], 0o600))
			}
			return err
		}
		fmt.Fprintf(os.Stderr, "joining %s with the given token: %v\n", o.server, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
