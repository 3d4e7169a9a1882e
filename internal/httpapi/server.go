package httpapi

import (
	"net/http"
	"time"
)

// NewServer returns a server for h with limits that keep a slow or greedy peer from holding it: five
// seconds for the headers, ten for the whole request and ten for its answer, two minutes between requests
// of a connection, 16 KiB of headers, maxConnections connections. It listens nowhere yet; the caller
// serves and shuts it down.
//
// A handler that streams or waits lifts both ten-second limits for its own request through
// http.ResponseController.
func NewServer(h http.Handler) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	track(s, maxConnections)
	return s
}
