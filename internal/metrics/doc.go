// Package metrics shows an elector to Prometheus.
//
// What an elector is at this instant (leading, its state, the lease's time left, tokens, contact) is
// computed while a scrape is answered, from the same evaluation that answers everybody else; nothing is
// remembered between scrapes that could go stale. A scrape looks and promises nothing: its reader sees
// the sample seconds later and must not act on it.
//
// What has happened (terms, renewals, sessions, requests to etcd) is counted as the elector's loop and
// the store tell of it.
//
// Every metric carries the constant label election="<namespace>/<name>", those of the Go runtime and
// of the process included, so that several electors of a host are told apart without relabelling. No
// identity of another candidate is ever a label: they come from etcd and are unbounded.
package metrics
