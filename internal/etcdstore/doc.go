// Package etcdstore keeps the sessions of an elector in etcd. It is the only production package that
// imports etcd, and it uses the concurrency package for what that is good at: the layout of keys and
// the wait in the queue. What the package's session and election do not promise is done here.
package etcdstore
