package devetcd

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// memberConfig is all that a member needs to run. It travels to member processes as JSON.
type memberConfig struct {
	Name            string
	Dir             string // holds the log file, and the data unless Disk does
	Disk            string // directory of the data; empty means below Dir
	ClientURL       string
	PeerURL         string
	InitialCluster  string
	Existing        bool // it joins a cluster that runs
	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	Fsync           bool
	SnapshotCount   uint64
	Quota           int64 // bytes; 0 means etcd's default
	LogLevel        string
	TLS             *TLSFiles
	AuthToken       string
	AuthTokenTTL    time.Duration
}

// bcryptCost is the cheapest that bcrypt allows: these passwords guard nothing.
const bcryptCost = 4

// newMemberConfigs plans n members below dir, on ports that are free at this moment.
func newMemberConfigs(n int, dir string, opts Options, tls *TLSFiles) ([]memberConfig, error) {
	configs := make([]memberConfig, n)
	cluster := make([]string, n)
	scheme := "http"
	if tls != nil {
		scheme = "https"
	}
	for i := range configs {
		host := opts.host(i)
		client, err := choosePort(host, 2379)
		if err != nil {
			return nil, err
		}
		peer, err := choosePort(host, 2380)
		if err != nil {
			return nil, err
		}
		name := "m" + strconv.Itoa(i)
		disk := opts.disk(i)
		if disk != "" {
			disk = filepath.Join(disk, "etcd-"+name)
		}
		configs[i] = memberConfig{
			Name:            name,
			Dir:             filepath.Join(dir, name),
			ClientURL:       scheme + "://" + client,
			PeerURL:         "http://" + peer,
			Heartbeat:       cmp.Or(opts.Heartbeat, 100*time.Millisecond),
			ElectionTimeout: cmp.Or(opts.ElectionTimeout, time.Second),
			Disk:            disk,
			Fsync:           opts.Fsync || disk != "",
			SnapshotCount:   opts.SnapshotCount,
			Quota:           opts.Quota,
			LogLevel:        cmp.Or(opts.LogLevel, "warn"),
			TLS:             tls,
			AuthToken:       cmp.Or(opts.AuthToken, embed.DefaultAuthToken),
			AuthTokenTTL:    opts.AuthTokenTTL,
		}
		cluster[i] = name + "=" + configs[i].PeerURL
	}
	for i := range configs {
		configs[i].InitialCluster = strings.Join(cluster, ",")
	}
	return configs, nil
}

// embedConfig translates to etcd's own configuration.
func (c memberConfig) embedConfig() (*embed.Config, error) {
	clientURL, err := url.Parse(c.ClientURL)
	if err != nil {
		return nil, err
	}
	peerURL, err := url.Parse(c.PeerURL)
	if err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Name = c.Name
	cfg.Dir = c.dataDir()
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	cfg.InitialCluster = c.InitialCluster
	if c.Existing {
		cfg.ClusterState = embed.ClusterStateFlagExisting
	}
	cfg.TickMs = uint(c.Heartbeat.Milliseconds())
	cfg.ElectionMs = uint(c.ElectionTimeout.Milliseconds())
	cfg.UnsafeNoFsync = !c.Fsync
	if c.SnapshotCount > 0 {
		cfg.SnapshotCount = c.SnapshotCount
	}
	cfg.QuotaBackendBytes = c.Quota
	cfg.LogLevel = c.LogLevel
	cfg.LogOutputs = []string{c.logFile()}
	cfg.AuthToken = c.AuthToken
	cfg.BcryptCost = bcryptCost
	if c.AuthTokenTTL > 0 {
		cfg.AuthTokenTTL = uint(c.AuthTokenTTL.Seconds())
	}
	if c.TLS != nil {
		cfg.ClientTLSInfo.CertFile = c.TLS.ServerCert
		cfg.ClientTLSInfo.KeyFile = c.TLS.ServerKey
		cfg.ClientTLSInfo.TrustedCAFile = c.TLS.CACert
		cfg.ClientTLSInfo.ClientCertAuth = true
	}
	return cfg, nil
}

func (c memberConfig) dataDir() string { return cmp.Or(c.Disk, filepath.Join(c.Dir, "data")) }

func (c memberConfig) logFile() string { return filepath.Join(c.Dir, "etcd.log") }

// choosePort returns a free address on host, or the usual port if host belongs to another network
// namespace.
func choosePort(host string, usual int) (string, error) {
	addr, err := FreeAddress(host)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return net.JoinHostPort(host, strconv.Itoa(usual)), nil
	}
	return addr, err
}

// The ports to choose from: below the range from which the kernel takes those of outgoing connections. There, a client
// that dials a server which is down can be given the server's own port and connect to itself, and the server cannot
// come back.
const lowest, highest = 12000, 31999

// order is that in which this process gives ports out: none a second time before all the others, since who was given
// one may not listen yet.
var (
	order = sync.OnceValue(func() []int { return rand.Perm(highest - lowest + 1) })
	given atomic.Uint32
)

// FreeAddress returns host:port with a TCP port that is free now, and that no other call in this process has
// returned lately.
func FreeAddress(host string) (string, error) {
	var last error
	for range 100 {
		all := order()
		addr := net.JoinHostPort(host, strconv.Itoa(lowest+all[int(given.Add(1))%len(all)]))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		last = err
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			break
		}
	}
	return "", fmt.Errorf("find a free port on %s: %w", host, last)
}
