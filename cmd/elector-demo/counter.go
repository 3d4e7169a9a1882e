package main

import (
	"net/http"
	"strconv"
	"sync"
)

// counter is the place where the work's effects are kept, and it is fenced: a write with a smaller token than it has seen
// comes from a term that is over, and is refused.
type counter struct {
	journal *journal

	mu      sync.Mutex // guards the fields below, for a comparison and a count
	count   int64
	refused int64
	newest  int64 // the greatest token of a write
}

// ServeHTTP takes a worker's write. It is the whole of what a store has to do to be safe.
func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, err := strconv.ParseInt(r.Header.Get("Elector-Token"), 10, 64)
	who := r.URL.Query().Get("who")
	if err != nil || r.Method != http.MethodPost || c.journal.index(who) < 0 {
		http.Error(w, "POST ?who= with an Elector-Token", http.StatusBadRequest)
		return
	}
	if !c.write(who, token) {
		http.Error(w, "the token is not the newest any more", http.StatusPreconditionFailed)
	}
}

func (c *counter) write(who string, token int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if token < c.newest {
		c.refused++
		c.journal.wrote(kindRefused, who, token, c.count, c.refused)
		return false
	}
	c.newest = token
	c.count++
	c.journal.wrote(kindWrite, who, token, c.count, c.refused)
	return true
}
