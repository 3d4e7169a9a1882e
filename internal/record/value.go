package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/elector-dev/elector/internal/election"
)

// envelope is the first line of what is stored for a value; its bytes follow as they are, so that etcdctl
// shows them.
type envelope struct {
	Token       int64  `json:"token"`
	ContentType string `json:"content_type"`
}

// EncodeValue is a value as it stands in etcd.
func EncodeValue(put election.ValuePut) string {
	line, err := json.Marshal(envelope{put.Token, put.ContentType})
	if err != nil {
		panic("encode the value's envelope: " + err.Error()) // a number and a string always encode
	}
	return string(line) + "\n" + string(put.Bytes)
}

// DecodeValue reads a stored value that was last written at a revision. The error says what is wrong with it, without
// its bytes.
func DecodeValue(stored []byte, revision int64) (*election.Value, error) {
	line, rest, ok := bytes.Cut(stored, []byte("\n"))
	var e envelope
	if !ok || json.Unmarshal(line, &e) != nil || e.Token <= 0 {
		return nil, errors.New("it does not begin with a line as elector writes it")
	}
	if len(rest) > election.MaxValue {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(rest), election.MaxValue)
	}
	return &election.Value{Bytes: rest, ContentType: Clip(e.ContentType), Token: e.Token, Revision: revision}, nil
}
