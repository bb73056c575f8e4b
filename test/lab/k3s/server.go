package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controlleroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

const (
	apiPort = 6443
	// How long the parts get to end after SIGTERM; whoever supervises us loses patience after five seconds.
	endWithin = 1500 * time.Millisecond
)

// runNode runs a server (control plane and agent) or an agent until ctx ends or any part of it does.
func runNode(ctx context.Context, o *options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fmt.Fprintf(os.Stderr, "Croft lab stand-in (not k3s) over Kubernetes %s, node %s\n", kubernetesVersion, o.nodeName)
	// The first part that ends, ends the node: a supervisor starts it again as a whole.
	ended := make(chan struct{})
	fail := func(part string, err error) {
		cancel(fmt.Errorf("%s ended: %w", part, err))
	}
	joined, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	if o.agent {
		close(ended)
	} else {
		stopEtcd, err := o.startEtcd(ctx, joined)
		if err != nil {
			return err
		}
		defer stopEtcd()
		if err := o.startControlPlane(ctx, fail, ended); err != nil {
			return err
		}
		go o.applyManifests(ctx)
	}
	children := o.startAgent(ctx, fail)
	<-ctx.Done()
	fmt.Fprintln(os.Stderr, "ending:", context.Cause(ctx))
	deadline := time.After(endWithin)
	for _, done := range []<-chan struct{}{children, ended} {
		select {
		case <-done:
		case <-deadline:
			fmt.Fprintln(os.Stderr, "ending without waiting longer")
			return context.Cause(ctx) // Whatever hangs ends with the process.
		}
	}
	return context.Cause(ctx)
}

// prepare makes or fetches the authorities, issues what the node's parts need, and makes a new server's place in etcd.
func (o *options) prepare(ctx context.Context) (*membership, error) {
	joins := o.server != "" && (o.agent || !exists(o.etcdDir()))
	if joins {
		if err := o.join(ctx); err != nil {
			return nil, err
		}
	}
	if err := o.ensureAuthorities(); err != nil {
		return nil, err
	}
	certificates := []certificate{
		{"client-ca", o.agentFile("client-kubelet"), subject{name: "system:node:" + o.nodeName, group: "system:nodes"}},
		{"server-ca", o.agentFile("serving-kubelet"), subject{name: o.nodeName, sans: []string{o.nodeName, o.nodeIP, "127.0.0.1", "localhost"}}},
		{"client-ca", o.agentFile("client-kube-proxy"), subject{name: "system:kube-proxy"}},
	}
	if !o.agent {
		certificates = append(certificates, o.serverCertificates()...)
	}
	for _, c := range certificates {
		if err := o.issue(c.authority, c.path, c.subject); err != nil {
			return nil, err
		}
	}
	if o.agent {
		return nil, nil
	}
	if err := errors.Join(o.ensureToken(), o.writeTokenFile(),
		o.writeKubeconfig(o.cred("controller"), localAPI, o.tls("client-controller"), 0o600),
		o.writeKubeconfig(o.cred("scheduler"), localAPI, o.tls("client-scheduler"), 0o600),
		o.writeKubeconfig(o.kubeconfig, localAPI, o.tls("client-admin"), o.kubeconfigMode)); err != nil || !joins {
		return nil, err
	}
	return o.addLearner(ctx)
}

type certificate struct {
	authority, path string
	subject         subject
}

func (o *options) serverCertificates() []certificate {
	services, _, _ := net.ParseCIDR(o.serviceCIDR) // Parsed once in options.go.
	first := services.To4()
	first[3]++ // The API's own Service has the first address.
	serving := append([]string{"127.0.0.1", "localhost", o.nodeIP, o.nodeName, first.String(), "kubernetes",
		"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}, o.values["tls-san"]...)
	etcd := []string{"127.0.0.1", "localhost", o.nodeIP, o.nodeName}
	return []certificate{
		{"server-ca", o.tls("serving-kube-apiserver"), subject{name: "kube-apiserver", sans: serving}},
		{"client-ca", o.tls("client-kube-apiserver"), subject{name: "system:apiserver", group: "system:masters"}},
		{"client-ca", o.tls("client-admin"), subject{name: "system:admin", group: "system:masters"}},
		{"client-ca", o.tls("client-controller"), subject{name: "system:kube-controller-manager"}},
		{"client-ca", o.tls("client-scheduler"), subject{name: "system:kube-scheduler"}},
		{"request-header-ca", o.tls("client-auth-proxy"), subject{name: "system:auth-proxy"}},
		{"etcd/server-ca", o.tls("etcd/server-client"), subject{name: "etcd-server", sans: etcd}},
		{"etcd/server-ca", o.tls("etcd/client"), subject{name: "etcd-client"}},
		{"etcd/peer-ca", o.tls("etcd/peer-server-client"), subject{name: "etcd-peer", sans: etcd}},
	}
}

func (o *options) cred(name string) string {
	return filepath.Join(o.dataDir, "server", "cred", name+".kubeconfig")
}

const localAPI = "https://127.0.0.1:6443"

// The defaults are those k3s documents, as far as they bear on what the product sees.
func (o *options) controlPlaneArgs() (api, controller, sched []string) {
	api = o.mergeArgs("kube-apiserver-arg", map[string]string{
		"advertise-address": o.nodeIP, "secure-port": strconv.Itoa(apiPort), "bind-address": "0.0.0.0",
		"allow-privileged": "true", "anonymous-auth": "false", "authorization-mode": "Node,RBAC", "profiling": "false",
		"enable-admission-plugins": "NodeRestriction", "client-ca-file": o.tls("client-ca.crt"),
		"etcd-servers": "https://127.0.0.1:2379", "etcd-cafile": o.tls("etcd/server-ca.crt"),
		"etcd-certfile": o.tls("etcd/client.crt"), "etcd-keyfile": o.tls("etcd/client.key"),
		"kubelet-certificate-authority": o.tls("server-ca.crt"), "kubelet-client-certificate": o.tls("client-kube-apiserver.crt"),
		"kubelet-client-key": o.tls("client-kube-apiserver.key"), "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
		"proxy-client-cert-file": o.tls("client-auth-proxy.crt"), "proxy-client-key-file": o.tls("client-auth-proxy.key"),
		"requestheader-allowed-names": "system:auth-proxy", "requestheader-client-ca-file": o.tls("request-header-ca.crt"),
		"requestheader-extra-headers-prefix": "X-Remote-Extra-", "requestheader-group-headers": "X-Remote-Group",
		"requestheader-username-headers": "X-Remote-User", "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
		"api-audiences":            "https://kubernetes.default.svc.cluster.local,k3s",
		"service-account-key-file": o.tls("service.key"), "service-account-signing-key-file": o.tls("service.key"),
		"service-cluster-ip-range": o.serviceCIDR, "tls-cert-file": o.tls("serving-kube-apiserver.crt"),
		"tls-private-key-file": o.tls("serving-kube-apiserver.key"), "token-auth-file": o.tokenFile(),
	})
	controller = o.mergeArgs("kube-controller-manager-arg", map[string]string{
		"allocate-node-cidrs": "true", "bind-address": "127.0.0.1", "cluster-cidr": o.clusterCIDR, "profiling": "false",
		"cluster-signing-cert-file": o.tls("client-ca.crt"), "cluster-signing-key-file": o.tls("client-ca.key"),
		"kubeconfig": o.cred("controller"), "authentication-kubeconfig": o.cred("controller"),
		"authorization-kubeconfig": o.cred("controller"), "root-ca-file": o.tls("server-ca.crt"),
		"service-account-private-key-file": o.tls("service.key"), "service-cluster-ip-range": o.serviceCIDR,
		"use-service-account-credentials": "true",
	})
	sched = o.mergeArgs("kube-scheduler-arg", map[string]string{
		"authentication-kubeconfig": o.cred("scheduler"), "authorization-kubeconfig": o.cred("scheduler"),
		"bind-address": "127.0.0.1", "kubeconfig": o.cred("scheduler"), "profiling": "false",
	})
	return api, controller, sched
}

func parseFlags(name string, sets cliflag.NamedFlagSets, args []string) error {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// startControlPlane starts the API server, waits until it is ready, then starts the other two. Their cobra commands
// cannot share a process (each installs the one signal handler), so their options are filled and run directly.
func (o *options) startControlPlane(ctx context.Context, fail func(string, error), ended chan struct{}) error {
	apiArgs, controllerArgs, schedulerArgs := o.controlPlaneArgs()
	apiOptions := apiserveroptions.NewServerRunOptions()
	controllerOptions, err := controlleroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	schedulerOptions := scheduleroptions.NewOptions()
	known, disabled, aliases := controllers.KnownControllers(), controllers.ControllersDisabledByDefault(), controllers.ControllerAliases()
	controllerFlags := controllerOptions.Flags(known, disabled, aliases)
	controllerOptions.ParsedFlags = &controllerFlags
	for _, part := range []struct {
		name  string
		flags cliflag.NamedFlagSets
		args  []string
	}{
		{"kube-apiserver", apiOptions.Flags(), apiArgs},
		{"kube-controller-manager", controllerFlags, controllerArgs},
		{"kube-scheduler", *schedulerOptions.Flags, schedulerArgs},
	} {
		if err := parseFlags(part.name, part.flags, part.args); err != nil {
			return err
		}
	}
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	if err := apiOptions.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	if err := logsapi.ValidateAndApply(apiOptions.Logs, nil); err != nil {
		return err
	}
	completed, err := apiOptions.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return errs[0]
	}
	go func() {
		defer close(ended)
		fail("kube-apiserver", orEnded(apiserver.Run(ctx, completed)))
	}()
	client, err := o.adminClient()
	if err != nil {
		return err
	}
	if err := wait.PollUntilContextTimeout(ctx, 250*time.Millisecond, 15*time.Minute, true, func(ctx context.Context) (bool, error) {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil, nil
	}); err != nil {
		return fmt.Errorf("kube-apiserver is not ready: %w", context.Cause(ctx))
	}
	if err := o.publish(ctx, client); err != nil {
		return err
	}
	// These two end the whole process the moment they stop leading, so they are not told to stop: etcd and the API
	// server end in order, then the process.
	ctx = context.WithoutCancel(ctx)
	controllerConfig, err := controllerOptions.Config(ctx, known, disabled, aliases)
	if err != nil {
		return err
	}
	go func() { fail("kube-controller-manager", orEnded(controllers.Run(ctx, controllerConfig.Complete()))) }()
	schedulerConfig, sched, err := scheduler.Setup(ctx, schedulerOptions)
	if err != nil {
		return err
	}
	go func() { fail("kube-scheduler", orEnded(scheduler.Run(ctx, schedulerConfig, sched))) }()
	return nil
}

func orEnded(err error) error {
	if err == nil {
		return context.Canceled
	}
	return err
}

func (o *options) adminClient() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
