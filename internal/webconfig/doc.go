// Package webconfig gives a server TLS and basic auth by a file in the form that Prometheus' exporters take. Of that form
// it knows what a listener for probes and scrapes needs; anything else in the file is a mistake, not ignored.
//
// It stands here in place of Prometheus' own package, which brings a dozen modules into the binary, and with them code
// that answers on http.DefaultServeMux.
package webconfig
