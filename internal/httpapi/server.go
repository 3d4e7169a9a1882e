package httpapi

import (
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/crash"
)

// NewServer returns a server for the main listener's handler with limits that keep a slow or greedy peer from holding it: five
// seconds for the headers, ten for the whole request and ten for its answer, two minutes between requests
// of a connection, 16 KiB of headers, 1,280 connections of which an idle one makes room for one more.
// It listens nowhere yet; the caller serves and shuts it down. Shutting down waits for requests that wait
// or stream; they end by themselves once the elector has ended, so it comes after that.
//
// A panic of the handler ends the process, see package crash.
//
// A handler that streams or waits puts its own answer's limit off through http.ResponseController. The
// limit for a request is lifted by net/http once all of it has been read; one whose body never comes keeps
// it, and is cut by it.
func NewServer(h http.Handler) *http.Server { return newServer(h, maxConns) }

// NewProbeServer is NewServer for the probe listener's handler: 512 connections.
func NewProbeServer(h http.Handler) *http.Server { return newServer(h, maxProbeConns) }

func newServer(h http.Handler, most int) *http.Server {
	conns := newConns(most)
	return &http.Server{
		Handler:           crash.Handler(conns.handler(h)),
		ConnContext:       conns.admit,
		ConnState:         conns.follow,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		// With TLS a connection may carry several requests at once, and bodies that nobody reads yet.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 8, MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 16 << 10},
	}
}
