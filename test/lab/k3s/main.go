// Command k3s is a stand-in for k3s, made from upstream Kubernetes, etcd, containerd, runc and CNI modules,
// for machines that cannot get a k3s release. It is not k3s and does not say so anywhere: it takes the part of
// k3s' command line and files that appliance/cluster/k3s.ts uses, so that one product code path drives both.
//
// One process runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler (server.go); containerd,
// kubelet and kube-proxy are its children (agent.go) and die with it, while pods live on under their shims, as
// with k3s. Nodes join through a small listener of our own (join.go), not k3s' supervisor protocol. Whatever it
// cannot do honestly ends with a sentence (refused); docs/untested-on-k3s.md lists what that leaves unproved.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

const (
	kubernetesVersion = "v1.36.3"
	containerdSocket  = "/run/k3s/containerd/containerd.sock"
)

// payloadHash names the directory the payload is unpacked to; set by build.sh.
var payloadHash = "none"

// The programs that run beside Kubernetes (containerd, its shim, ctr, runc, CNI plugins), put here by build.sh.
//
//go:embed all:payload
var payload embed.FS

var refused = map[string]string{
	"token":           "bootstrap tokens are k3s' own; use the node token",
	"certificate":     "certificate rotation is k3s' own",
	"secrets-encrypt": "secrets encryption is k3s' own",
	"crictl":          "crictl is not part of it",
	"check-config":    "it checks nothing",
	"completion":      "there is none",
}

func main() {
	if err := dispatch(os.Args); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "k3s stand-in:", err)
		os.Exit(1)
	}
}

func dispatch(argv []string) error {
	command := ""
	if len(argv) > 1 {
		command = argv[1]
	}
	switch command {
	case "", "-h", "--help", "help":
		fmt.Println("usage: k3s server|agent|kubectl|ctr|etcd-snapshot [options] (Croft's lab stand-in: see docs/untested-on-k3s.md)")
		return nil
	case "-v", "--version":
		fmt.Printf("Croft lab stand-in (not k3s) over Kubernetes %s\n", kubernetesVersion)
		return nil
	case "server", "agent":
		o, err := parseOptions(command == "agent", argv[2:])
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		if err := o.unpack(); err != nil {
			return err
		}
		return runNode(ctx, o)
	case "kubectl":
		if os.Getenv("KUBECONFIG") == "" {
			os.Setenv("KUBECONFIG", defaultKubeconfig)
		}
		os.Args = argv[1:]
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	case "ctr":
		return execCtr(argv[2:])
	case "etcd-snapshot":
		return etcdSnapshot(argv[2:])
	case "kubelet": // The next two are only started by ourselves.
		os.Args = argv[1:]
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Args = argv[1:]
		os.Exit(cli.Run(kubeproxy.NewProxyCommand()))
	}
	if why, ok := refused[command]; ok {
		return fmt.Errorf("%q is not offered by Croft's lab stand-in: %s", command, why)
	}
	return fmt.Errorf("no such command: %q", command)
}

// unpack writes the embedded programs to <data-dir>/data/<hash>/bin, where k3s has its own, once.
func (o *options) unpack() error {
	if _, err := os.Stat(filepath.Join(o.binDir(), ".complete")); err == nil {
		return nil
	}
	entries, err := fs.ReadDir(payload, "payload")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := payload.ReadFile("payload/" + entry.Name())
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(o.binDir(), entry.Name()), content, 0o755); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(o.binDir(), ".complete"), nil, 0o644)
}

func (o *options) binDir() string { return filepath.Join(o.dataDir, "data", payloadHash, "bin") }

// execCtr replaces us with containerd's ctr; like k3s it finds its data directory by K3S_DATA_DIR.
func execCtr(args []string) error {
	o := &options{dataDir: defaultDataDir}
	if dir := os.Getenv("K3S_DATA_DIR"); dir != "" {
		o.dataDir = dir
	}
	if err := o.unpack(); err != nil {
		return err
	}
	env := append([]string{"CONTAINERD_ADDRESS=" + containerdSocket, "CONTAINERD_NAMESPACE=k8s.io"}, os.Environ()...)
	return syscall.Exec(filepath.Join(o.binDir(), "ctr"), append([]string{"ctr"}, args...), env)
}

// writeFile makes the directories on the way and replaces the file as a whole: it may be a running program.
func writeFile(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
