package devetcd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Release is what a server's program says of itself.
type Release struct {
	Version string // such as 3.5.35
	flags   []string
}

// Inspect runs a server's program, for ten seconds at most, and has it tell its version and its flags.
func Inspect(ctx context.Context, program string) (Release, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ask := func(what string) (string, error) {
		cmd := exec.CommandContext(ctx, program, what)
		cmd.Env = serverEnv()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("run %s %s: %w: %s", program, what, err, strings.TrimSpace(string(out)))
		}
		return string(out), nil
	}
	version, err := ask("--version")
	if err != nil {
		return Release{}, err
	}
	_, version, found := strings.Cut(version, "etcd Version: ")
	if !found {
		return Release{}, fmt.Errorf("%s --version does not say that it is etcd", program)
	}
	help, err := ask("--help")
	version, _, _ = strings.Cut(version, "\n")
	return Release{Version: strings.TrimSpace(version), flags: strings.FieldsFunc(help, func(r rune) bool { return !isFlagRune(r) })}, err
}

func isFlagRune(r rune) bool { return r == '-' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }

// Minor is the version without its last number, such as 3.5.
func (r Release) Minor() string {
	minor, _, _ := strings.Cut(r.Version, "-")
	return minor[:max(0, strings.LastIndexByte(minor, '.'))]
}

// has reports whether the program knows a flag.
func (r Release) has(flag string) bool { return slices.Contains(r.flags, "--"+flag) }

// serverEnv is this process's environment without what etcd would take for its flags.
func serverEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ETCD_") && !strings.HasPrefix(v, "ETCD_UNSUPPORTED_ARCH=")
	})
}

// command is how to run the member as a process of its program.
func (c memberConfig) command(ctx context.Context, program string) (*exec.Cmd, error) {
	path, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	release, err := Inspect(ctx, path)
	if err != nil {
		return nil, err
	}
	args, err := c.args(release)
	if err != nil {
		return nil, fmt.Errorf("%s is etcd %s: %w", program, release.Version, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = serverEnv()
	return cmd, nil
}

// args translates to the flags of etcd's own program.
func (c memberConfig) args(r Release) ([]string, error) {
	state := "new"
	if c.Existing {
		state = "existing"
	}
	args := []string{
		"--name", c.Name,
		"--data-dir", c.dataDir(),
		"--listen-client-urls", c.ClientURL, "--advertise-client-urls", c.ClientURL,
		"--listen-peer-urls", c.PeerURL, "--initial-advertise-peer-urls", c.PeerURL,
		"--initial-cluster", c.InitialCluster, "--initial-cluster-state", state,
		"--heartbeat-interval", strconv.FormatInt(c.Heartbeat.Milliseconds(), 10),
		"--election-timeout", strconv.FormatInt(c.ElectionTimeout.Milliseconds(), 10),
		"--logger", "zap", "--log-level", c.LogLevel, "--log-outputs", c.logFile(),
		"--auth-token", c.AuthToken, "--bcrypt-cost", strconv.Itoa(bcryptCost),
	}
	if c.SnapshotCount > 0 {
		args = append(args, "--snapshot-count", strconv.FormatUint(c.SnapshotCount, 10))
	}
	if c.Quota > 0 {
		args = append(args, "--quota-backend-bytes", strconv.FormatInt(c.Quota, 10))
	}
	// That 3.4 always calls fsync costs time and nothing else.
	if !c.Fsync && r.has("unsafe-no-fsync") {
		args = append(args, "--unsafe-no-fsync")
	}
	if c.AuthTokenTTL > 0 {
		if !r.has("auth-token-ttl") {
			return nil, fmt.Errorf("its tokens cannot be made to last %v: it has no --auth-token-ttl", c.AuthTokenTTL)
		}
		args = append(args, "--auth-token-ttl", strconv.Itoa(int(c.AuthTokenTTL.Seconds())))
	}
	if c.TLS != nil {
		args = append(args, "--cert-file", c.TLS.ServerCert, "--key-file", c.TLS.ServerKey, "--trusted-ca-file", c.TLS.CACert, "--client-cert-auth")
	}
	return args, nil
}
