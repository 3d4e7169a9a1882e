package etcdstore

import (
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/record"
)

func encodeRecord(cfg Config, since time.Time) string {
	return record.Record{Identity: cfg.Identity, Incarnation: cfg.Incarnation, Since: since, Version: cfg.Version}.Encode()
}

// standing reads a candidate with all that its record tells.
func standing(kv *mvccpb.KeyValue) election.Standing {
	return record.Standing(kv.Value, kv.CreateRevision)
}

// candidate reads who owns a key.
func candidate(kv *mvccpb.KeyValue) election.Candidate {
	return record.Candidate(kv.Value, kv.CreateRevision)
}

// decodeValue reads a stored value.
func decodeValue(kv *mvccpb.KeyValue) (*election.Value, error) {
	return record.DecodeValue(kv.Value, kv.ModRevision)
}
