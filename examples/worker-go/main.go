//go:build linux

// A worker in Go: it acts only while the elector beside it leads, and sends the token with every effect.
//
//	worker-go http://127.0.0.1:4040 journal
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bootClock is the clock that counts on while the host is suspended.
func bootClock() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		log.Fatal(err)
	}
	return time.Duration(t.Nano())
}

func main() {
	elector, journal := os.Args[1], os.Args[2]
	client := http.Client{Timeout: time.Second}
	for ; ; time.Sleep(20 * time.Millisecond) {
		asked := bootClock() // the yes counts from before the request
		resp, err := client.Get(elector + "/leader")
		if err != nil {
			continue // no answer is a no
		}
		var yes struct {
			Token     int64 `json:"token"`
			ExpiresIn int64 `json:"expires_in_ms"`
		}
		err = json.NewDecoder(resp.Body).Decode(&yes)
		resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK {
			act(journal, yes.Token, asked+time.Duration(yes.ExpiresIn)*time.Millisecond)
		}
	}
}

// act does a piece of work that ends before until. Whoever stores its effect refuses smaller tokens than it
// has seen.
func act(journal string, token int64, until time.Duration) {
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if now := bootClock(); now < until {
		fmt.Fprintln(f, now.Milliseconds(), token, "go")
	}
}
