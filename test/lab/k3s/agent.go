package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// startAgent starts containerd, kubelet and kube-proxy; the channel closes when all three have ended.
func (o *options) startAgent(ctx context.Context, fail func(string, error)) <-chan struct{} {
	done := make(chan struct{})
	var children sync.WaitGroup
	supervise := func(name string, path string, args ...string) {
		children.Add(1)
		go func() {
			defer children.Done()
			fail(name, o.runChild(ctx, path, args...))
		}()
	}
	go func() {
		defer close(done)
		// What was started before something failed is waited for.
		defer children.Wait()
		if err := o.writeAgentFiles(); err != nil {
			fail("agent", err)
			return
		}
		if err := removeStale(containerdSocket, containerdSocket+".ttrpc"); err != nil {
			fail("agent", err)
			return
		}
		supervise("containerd", filepath.Join(o.binDir(), "containerd"), "-c", o.agentFile("etc/containerd/config.toml"),
			"-a", containerdSocket, "--state", filepath.Dir(containerdSocket), "--root", o.agentFile("containerd"))
		if err := waitForRuntime(ctx); err != nil {
			fail("containerd", err)
			return
		}
		o.importImages(ctx, true)
		self, err := os.Executable()
		if err != nil {
			fail("agent", err)
			return
		}
		supervise("kubelet", self, append([]string{"kubelet"}, o.mergeArgs("kubelet-arg", map[string]string{
			"config-dir": o.agentFile("etc/kubelet.conf.d"), "kubeconfig": o.agentFile("kubelet.kubeconfig"),
			"hostname-override": o.nodeName, "node-ip": o.nodeIP, "node-labels": strings.Join(o.values["node-label"], ","),
			"register-with-taints": strings.Join(o.values["node-taint"], ","),
		})...)...)
		supervise("kube-proxy", self, append([]string{"kube-proxy"}, o.mergeArgs("kube-proxy-arg", map[string]string{
			"cluster-cidr": o.clusterCIDR, "hostname-override": o.nodeName, "kubeconfig": o.agentFile("kubeproxy.kubeconfig"),
			"healthz-bind-address": "127.0.0.1", "conntrack-max-per-core": "0", "conntrack-tcp-timeout-established": "0s",
			"conntrack-tcp-timeout-close-wait": "0s",
		})...)...)
		go o.network(ctx)
		go o.importImages(ctx, false)
	}()
	return done
}

// removeStale removes sockets on which nobody listens: a node that was killed leaves them, and who finds one is refused
// at once instead of waiting for its containerd.
func removeStale(paths ...string) error {
	for _, path := range paths {
		connection, err := net.Dial("unix", path)
		if err == nil {
			connection.Close()
			continue
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			continue // There is none.
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// waitForRuntime waits until containerd answers what kubelet asks first, and only once. After a node's death it takes
// containerd a while to find out that the node's pods are gone.
func waitForRuntime(ctx context.Context) error {
	connection, err := grpc.NewClient("unix://"+containerdSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := runtimeapi.NewRuntimeServiceClient(connection)
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		asked, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, last = client.Version(asked, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true))
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("it does not answer: %w", errors.Join(err, last))
	}
	return nil
}

// runChild runs a program that ends with us, however we end. Its thread is kept, for PR_SET_PDEATHSIG is the thread's.
func (o *options) runChild(ctx context.Context, path string, args ...string) error {
	runtime.LockOSThread()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Env = append(os.Environ(), "PATH="+o.binDir()+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // It may be gone already.
	defer stop()
	return orEnded(cmd.Wait())
}

func (o *options) writeAgentFiles() error {
	server := localAPI
	if o.agent {
		server = o.server
	}
	for name, cert := range map[string]string{"kubelet": "client-kubelet", "kubeproxy": "client-kube-proxy"} {
		if err := o.writeKubeconfig(o.agentFile(name+".kubeconfig"), server, o.agentFile(cert), 0o600); err != nil {
			return err
		}
	}
	kubelet, err := json.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication": map[string]any{"anonymous": map[string]any{"enabled": false},
			"webhook": map[string]any{"enabled": true}, "x509": map[string]any{"clientCAFile": o.tls("client-ca.crt")}},
		"authorization": map[string]any{"mode": "Webhook"}, "cgroupDriver": "cgroupfs", "clusterDomain": "cluster.local",
		"clusterDNS": []string{o.clusterDNS}, "containerRuntimeEndpoint": "unix://" + containerdSocket,
		"failSwapOn": false, "volumePluginDir": o.agentFile("kubelet-plugins"), "tlsCertFile": o.agentFile("serving-kubelet.crt"), "tlsPrivateKeyFile": o.agentFile("serving-kubelet.key"),
	})
	if err != nil {
		return err
	}
	if err := writeFile(o.agentFile("etc/kubelet.conf.d/00-k3s-defaults.conf"), kubelet, 0o600); err != nil {
		return err
	}
	// restrict_oom_score_adj: a container without CAP_SYS_RESOURCE may not lower its score.
	// netns_mounts_under_state_dir: several nodes of a test share no /run/netns.
	config := fmt.Sprintf(`version = 3
imports = [%q]
[plugins.'io.containerd.internal.v1.opt']
  path = %q
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images']
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = %q
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = %q
      SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = [%q]
    conf_dir = %q
`, o.agentFile("etc/containerd/config-v3.toml.d/*.toml"), o.agentFile("opt"), o.one("pause-image", "docker.io/rancher/mirrored-pause:3.6"), filepath.Join(o.binDir(), "runc"), o.binDir(), o.agentFile("etc/cni/net.d"))
	return writeFile(o.agentFile("etc/containerd/config.toml"), []byte(config), 0o600)
}

// importImages loads agent/images/*.tar: once before the kubelet starts, then whenever a file comes or changes.
func (o *options) importImages(ctx context.Context, once bool) {
	eachChanged(ctx, o.agentFile("images/*.tar"), once, filepath.Join(o.binDir(), "ctr"), "--address", containerdSocket,
		"--connect-timeout", "30s", "-n", "k8s.io", "images", "import", "--local")
}

// applyManifests applies server/manifests/*.yaml, again whenever one changes. Unlike k3s it keeps no Addon objects.
func (o *options) applyManifests(ctx context.Context) {
	eachChanged(ctx, filepath.Join(o.dataDir, "server/manifests/*.y*ml"), false, "/proc/self/exe", "kubectl",
		"--kubeconfig", o.kubeconfig, "apply", "-f")
}

// eachChanged runs a program on each file matching `pattern`, and every second on those that changed or failed.
func eachChanged(ctx context.Context, pattern string, once bool, program string, args ...string) {
	seen := map[string]time.Time{}
	for ctx.Err() == nil {
		paths, _ := filepath.Glob(pattern) // The pattern is ours and valid.
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil || info.ModTime().Equal(seen[path]) {
				continue
			}
			if output, err := exec.CommandContext(ctx, program, append(args, path)...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v: %s\n", path, err, output)
				continue
			}
			seen[path] = info.ModTime()
		}
		if once {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// network gives pods their addresses (CNI's bridge plugin) once the node has its range, and keeps a route to each
// other node's: what flannel's host-gw backend does. No NetworkPolicy, no overlay.
func (o *options) network(ctx context.Context) {
	// kube-proxy's identity: kubelet's may see no node but its own.
	config, err := clientcmd.BuildConfigFromFlags("", o.agentFile("kubeproxy.kubeconfig"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
		return
	}
	client := kubernetes.NewForConfigOrDie(config)
	written := ""
	for ctx.Err() == nil {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err == nil {
			for _, node := range nodes.Items {
				switch {
				case node.Spec.PodCIDR == "":
				case node.Name != o.nodeName:
					for _, address := range node.Status.Addresses {
						if address.Type == "InternalIP" {
							o.route(node.Spec.PodCIDR, address.Address)
						}
					}
				case written != node.Spec.PodCIDR:
					if err := o.writeCNI(node.Spec.PodCIDR); err == nil {
						written = node.Spec.PodCIDR
					}
				}
			}
		}
		pause := 2 * time.Second
		if written == "" {
			pause = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (o *options) route(cidr, via string) {
	_, destination, err := net.ParseCIDR(cidr)
	if err != nil {
		return
	}
	if err := netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(via)}); err != nil {
		fmt.Fprintf(os.Stderr, "network: route to %s via %s: %v\n", cidr, via, err)
	}
}

func (o *options) writeCNI(cidr string) error {
	content, err := json.Marshal(map[string]any{"name": "cbr0", "cniVersion": "1.0.0", "plugins": []any{
		map[string]any{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
			"ipMasq": true, "ipMasqBackend": "nftables",
			"ipam": map[string]any{"type": "host-local", "ranges": []any{[]any{map[string]any{"subnet": cidr}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}}}},
		map[string]any{"type": "portmap", "backend": "nftables", "capabilities": map[string]any{"portMappings": true}},
	}})
	if err != nil {
		return err
	}
	return writeFile(o.agentFile("etc/cni/net.d/10-flannel.conflist"), content, 0o600)
}
