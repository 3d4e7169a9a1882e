package etcdstore

// Access is what a candidate of one election does with keys: it reads and writes those below Prefix, and Value. Nothing
// else of etcd's store is touched; leases need no permission of their own.
type Access struct {
	Prefix string // ends in "/"
	Value  string // key of the shared value
}

// AccessTo is what the candidates of an election need.
func AccessTo(prefix, namespace, election string) Access {
	path := prefix + "/" + namespace + "/" + election
	return Access{Prefix: path + "/", Value: path + "#value"}
}
