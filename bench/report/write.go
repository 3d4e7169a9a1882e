package report

import "context"

type Facts struct{}

func Machine(ctx context.Context, etcdctl string) Facts                      { return Facts{} }
func Write(results, pictures, size string, f Found, m Facts) (string, error) { return f.Dump(), nil }
