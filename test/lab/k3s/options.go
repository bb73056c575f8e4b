package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	defaultDataDir    = "/var/lib/rancher/k3s"
	defaultConfig     = "/etc/rancher/k3s/config.yaml"
	defaultKubeconfig = "/etc/rancher/k3s/k3s.yaml"
)

// k3s' own flags, as far as the product uses them; config.yaml has the same names.
var (
	nodeFlags = strings.Fields("config data-dir token server node-name node-ip pause-image node-label node-taint kubelet-arg kube-proxy-arg")
	// The last line's mean nothing here: what they tune isn't in the stand-in.
	serverFlags = strings.Fields(`cluster-init cluster-cidr service-cidr cluster-dns write-kubeconfig write-kubeconfig-mode tls-san disable
		etcd-arg kube-apiserver-arg kube-controller-manager-arg kube-scheduler-arg
		flannel-backend etcd-snapshot-schedule-cron etcd-snapshot-retention disable-network-policy disable-helm-controller`)
	switches = strings.Fields("cluster-init disable-network-policy disable-helm-controller")
	// Things the stand-in has nothing of, so that turning them off is true.
	absent = strings.Fields("traefik servicelb local-storage metrics-server coredns")
)

type options struct {
	agent                                    bool
	values                                   map[string][]string
	dataDir, token, server, nodeName, nodeIP string
	kubeconfig                               string
	kubeconfigMode                           os.FileMode
	clusterCIDR, serviceCIDR, clusterDNS     string
}

func (o *options) one(name, fallback string) string {
	if values := o.values[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return fallback
}

func parseOptions(agent bool, args []string) (*options, error) {
	o := &options{agent: agent, values: map[string][]string{}}
	known := nodeFlags
	if !agent {
		known = slices.Concat(nodeFlags, serverFlags)
	}
	for len(args) > 0 {
		name, value, found := strings.Cut(strings.TrimPrefix(args[0], "--"), "=")
		if !strings.HasPrefix(args[0], "--") || !slices.Contains(known, name) {
			return nil, fmt.Errorf("no such flag: %s", args[0])
		}
		args = args[1:]
		if !found && slices.Contains(switches, name) {
			value = "true"
		} else if !found {
			if len(args) == 0 {
				return nil, fmt.Errorf("--%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		o.values[name] = append(o.values[name], value)
	}
	if err := o.readConfig(known); err != nil {
		return nil, err
	}
	return o, o.complete()
}

// readConfig adds from config.yaml what the command line left alone. Unlike k3s it refuses unknown keys: a typing
// error of the product's must not pass a test.
func (o *options) readConfig(known []string) error {
	path := o.one("config", defaultConfig)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && o.values["config"] == nil {
		return nil
	}
	if err != nil {
		return err
	}
	var values map[string]any
	if err := yaml.Unmarshal(content, &values); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for key, value := range values {
		if !slices.Contains(known, key) {
			return fmt.Errorf("%s: no such flag: %s", path, key)
		}
		if o.values[key] != nil {
			continue
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, item := range list {
			o.values[key] = append(o.values[key], fmt.Sprint(item))
		}
	}
	return nil
}

func (o *options) complete() error {
	host, _ := os.Hostname()
	o.token, o.server = o.one("token", ""), o.one("server", "")
	o.nodeName, o.nodeIP = o.one("node-name", host), o.one("node-ip", "")
	o.kubeconfig = o.one("write-kubeconfig", defaultKubeconfig)
	if net.ParseIP(o.nodeIP) == nil {
		return fmt.Errorf("--node-ip: %q is not an address (k3s would guess; the stand-in doesn't)", o.nodeIP)
	}
	if (o.agent || o.server != "") && (o.server == "" || o.token == "") {
		return errors.New("to join, --server and --token are both needed")
	}
	for _, name := range o.values["disable"] {
		if !slices.Contains(absent, name) {
			return fmt.Errorf("--disable %s: k3s has no such component", name)
		}
	}
	// k3s' defaults. Agents here are not told others; only a server with others of its own is offered.
	o.clusterCIDR, o.serviceCIDR = o.one("cluster-cidr", "10.42.0.0/16"), o.one("service-cidr", "10.43.0.0/16")
	o.clusterDNS = o.one("cluster-dns", "10.43.0.10")
	if services, _, err := net.ParseCIDR(o.serviceCIDR); err != nil || services.To4() == nil {
		return fmt.Errorf("--service-cidr: %q is no IPv4 range", o.serviceCIDR)
	}
	mode, err := strconv.ParseUint(o.one("write-kubeconfig-mode", "0600"), 8, 32)
	if err != nil {
		return fmt.Errorf("--write-kubeconfig-mode: %w", err)
	}
	o.kubeconfigMode = os.FileMode(mode)
	o.dataDir, err = filepath.Abs(o.one("data-dir", defaultDataDir))
	return err
}

// tls is the path of a certificate or key below k3s' server/tls; agentFile of a file below agent.
func (o *options) tls(name string) string       { return filepath.Join(o.dataDir, "server", "tls", name) }
func (o *options) agentFile(name string) string { return filepath.Join(o.dataDir, "agent", name) }

// mergeArgs lays "key=value" given for FLAG over our defaults, and makes flags of them.
func (o *options) mergeArgs(flag string, merged map[string]string) []string {
	for _, arg := range o.values[flag] {
		key, value, found := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !found {
			value = "true"
		}
		merged[key] = value
	}
	result := make([]string, 0, len(merged))
	for key, value := range merged {
		result = append(result, "--"+key+"="+value)
	}
	sort.Strings(result)
	return result
}
