//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/dockertest"
)

// asWorker names the journal that makes this test binary behave as a worker.
const asWorker = "ELECTOR_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if journal := os.Getenv(asWorker); journal != "" {
		beWorker(journal)
	}
	goleak.VerifyTestMain(m)
}

// beWorker writes down all that the elector beside it says, until it is killed. Several ask side by side and wait for
// long: a request that comes to an elector while it is paused is answered when it goes on, and by that answer a worker
// would act.
func beWorker(journal string) {
	file, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for ; ; time.Sleep(20 * time.Millisecond) {
				answer, err := dockertest.Ask(context.Background(), client, "http://127.0.0.1:4040")
				if err != nil {
					continue
				}
				line, err := json.Marshal(answer)
				if err == nil {
					_, err = file.Write(append(line, '\n')) // one call: lines do not mix
				}
				if err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	asking.Wait()
}
