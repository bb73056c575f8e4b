package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"sigs.k8s.io/yaml"
)

func (o *options) etcdDir() string { return filepath.Join(o.dataDir, "server", "db", "etcd") }

// startEtcd runs this server's member and returns once it answers as a voter. `joined` tells how the cluster looks
// that a new server becomes part of; nil for the first one and for every later start.
func (o *options) startEtcd(ctx context.Context, joined *membership) (func(), error) {
	peer := "https://" + o.nodeIP + ":2380"
	client := "https://" + o.nodeIP + ":2379"
	values := map[string]any{
		"name": o.nodeName, "data-dir": o.etcdDir(),
		"listen-client-urls": "https://127.0.0.1:2379," + client, "advertise-client-urls": client,
		"listen-peer-urls": peer, "initial-advertise-peer-urls": peer,
		"initial-cluster": o.nodeName + "=" + peer, "initial-cluster-state": "new",
		"client-transport-security": map[string]any{"cert-file": o.tls("etcd/server-client.crt"), "key-file": o.tls("etcd/server-client.key"),
			"trusted-ca-file": o.tls("etcd/server-ca.crt"), "client-cert-auth": true},
		"peer-transport-security": map[string]any{"cert-file": o.tls("etcd/peer-server-client.crt"), "key-file": o.tls("etcd/peer-server-client.key"),
			"trusted-ca-file": o.tls("etcd/peer-ca.crt"), "client-cert-auth": true},
		"heartbeat-interval": 500, "election-timeout": 5000, "snapshot-count": 10000, // k3s' own timings
		"logger": "zap", "log-outputs": []string{"stderr"}, "log-level": "error",
	}
	if joined != nil {
		values["initial-cluster"], values["initial-cluster-state"] = joined.cluster, "existing"
	}
	for _, arg := range o.values["etcd-arg"] {
		key, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if number, err := strconv.Atoi(value); err == nil {
			values[key] = number
		} else {
			values[key] = value
		}
	}
	content, err := yaml.Marshal(values)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(o.dataDir, "server", "db", "etcd.yaml")
	if err := writeFile(file, content, 0o600); err != nil {
		return nil, err
	}
	config, err := embed.ConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if joined != nil {
		// A learner answers no one: it must be a voter before its API server starts.
		if err := o.promote(ctx, joined); err != nil {
			etcd.Close()
			return nil, err
		}
	}
	select {
	case <-etcd.Server.ReadyNotify():
		// Close would first wait for every client's connection to end, and the API server's don't.
		return etcd.Server.Stop, nil
	case err := <-etcd.Err():
		return nil, fmt.Errorf("etcd: %w", err)
	case <-ctx.Done():
		etcd.Close()
		return nil, ctx.Err()
	}
}

func (o *options) etcdClient(endpoints ...string) (*clientv3.Client, *clientv3.Config, error) {
	info := transport.TLSInfo{CertFile: o.tls("etcd/client.crt"), KeyFile: o.tls("etcd/client.key"), TrustedCAFile: o.tls("etcd/server-ca.crt")}
	tls, err := info.ClientConfig()
	if err != nil {
		return nil, nil, err
	}
	config := clientv3.Config{Endpoints: endpoints, TLS: tls, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	client, err := clientv3.New(config)
	return client, &config, err
}

// membership describes the etcd cluster to a server that becomes part of it.
type membership struct {
	cluster   string
	member    uint64
	endpoints []string
}

// addLearner makes a place for this server without touching the quorum: adding it as a voter would stop a cluster
// of one until it answers.
func (o *options) addLearner(ctx context.Context) (*membership, error) {
	target, err := url.Parse(o.server)
	if err != nil {
		return nil, err
	}
	client, _, err := o.etcdClient("https://" + net.JoinHostPort(target.Hostname(), "2379"))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("etcd of %s: %w", o.server, err)
	}
	peer := "https://" + o.nodeIP + ":2380"
	joined, members := &membership{}, []string{o.nodeName + "=" + peer}
	for _, member := range list.Members {
		switch {
		case member.PeerURLs[0] == peer && member.Name != "":
			return nil, fmt.Errorf("there is a server with address %s already: remove its etcd member first", o.nodeIP)
		case member.PeerURLs[0] == peer:
			joined.member = member.ID // An earlier try of ours.
		default:
			members = append(members, member.Name+"="+member.PeerURLs[0])
			joined.endpoints = append(joined.endpoints, member.ClientURLs...)
		}
	}
	joined.cluster = strings.Join(members, ",")
	if joined.member == 0 {
		added, err := client.MemberAddAsLearner(ctx, []string{peer})
		if err != nil {
			return nil, err
		}
		joined.member = added.Member.ID
	}
	return joined, nil
}

func (o *options) promote(ctx context.Context, joined *membership) error {
	client, _, err := o.etcdClient(joined.endpoints...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		_, err := client.MemberPromote(ctx, joined.member)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("etcd did not take this server as a voter: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// etcdSnapshot saves etcd's own snapshot where k3s puts its; restoring is k3s' own.
func etcdSnapshot(args []string) error {
	if len(args) == 0 || args[0] != "save" {
		return errors.New("the lab stand-in offers `etcd-snapshot save` only")
	}
	o := &options{}
	var name, dir string
	flags := pflag.NewFlagSet("etcd-snapshot save", pflag.ContinueOnError)
	flags.StringVar(&o.dataDir, "data-dir", defaultDataDir, "")
	flags.StringVar(&name, "name", "on-demand", "")
	flags.StringVar(&dir, "dir", "", "")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if dir == "" {
		dir = filepath.Join(o.dataDir, "server", "db", "snapshots")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	client, config, err := o.etcdClient("https://127.0.0.1:2379")
	if err != nil {
		return err
	}
	defer client.Close()
	host, _ := os.Hostname()
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-%d", name, host, time.Now().Unix()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), *config, path); err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}
