package devetcd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// memberEnv holds the configuration of a member process; its presence is what makes a process one.
const memberEnv = "DEVETCD_MEMBER"

// MaybeRunMember returns at once in an ordinary process. In one that StartProcesses started it runs an
// etcd member until SIGTERM or until its parent is gone, and exits the process. Call it first thing in
// main or TestMain.
func MaybeRunMember() {
	text := os.Getenv(memberEnv)
	if text == "" {
		return
	}
	if err := runMember(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runMember(text string) error {
	var c memberConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return fmt.Errorf("read %s: %w", memberEnv, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, orphaned := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent does
		orphaned()
	}()
	m, err := runEtcd(ctx, c)
	if err != nil {
		return err
	}
	defer m.close()
	select {
	case err = <-m.etcd.Err():
		return fmt.Errorf("run etcd: %w", err)
	case <-ctx.Done():
		return nil
	}
}
