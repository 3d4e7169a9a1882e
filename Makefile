# What the project's people and its CI run. Go alone builds and tests it: `go test -race -shuffle=on ./...`
# needs nothing of this file, and skips what needs root, Docker or etcdctl where that is missing.

GO      ?= go
VERSION := $(or $(VERSION),$(shell git describe --always --dirty --tags 2>/dev/null),unknown)
IMAGE   ?= elector:$(VERSION)

# Each folder with a go.mod is a module of its own, so that what only tools or benchmarks need stays out of the product.
MODULES := $(dir $(wildcard go.mod */go.mod */*/go.mod))

.PHONY: build test lint demo image e2e prove model mutants chaos chaos-long bench bench-long clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/elector \
		-ldflags '-s -w -X github.com/elector-dev/elector/internal/cli.version=$(VERSION)' ./cmd/elector

test: bin/etcdctl
	ELECTOR_TEST_ETCDCTL='$(CURDIR)/bin/etcdctl' $(GO) test -race -shuffle=on ./...

# Every check runs and tells what it finds; one that finds something fails the target at the end.
lint: bin/staticcheck
	@failed=; \
	unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w would change: $$unformatted"; failed=1; fi; \
	for module in $(MODULES); do \
		echo "lint $$module"; \
		$(GO) -C $$module mod tidy -diff || failed=1; \
		[ -n "$$($(GO) -C $$module list ./... 2>/dev/null)" ] || continue; \
		$(GO) -C $$module vet ./... || failed=1; \
		(cd $$module && '$(CURDIR)/bin/staticcheck' ./...) || failed=1; \
	done; \
	[ -z "$$failed" ]

# Nobody should have to believe us: docs/proof.md. About a quarter of an hour on two cores; at the end it says how much was seen.
prove: SHELL := bash
prove:
	@set -o pipefail; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(MAKE) model mutants chaos | tee "$$log"; status=$$?; \
	echo; grep -E '^(model|walks|mutants|chaos): ' "$$log"; exit $$status

# Every interleaving of small worlds around the code that decides.
model:
	ELECTOR_MODEL=full $(GO) test -count=1 -timeout 10m -run '^TestModel' -v ./internal/election

# One defence after the other taken out: each must be noticed. Then the daemon that everybody writes first: it must fail.
mutants:
	$(GO) run ./internal/chaos/mutants

# Real processes, real faults, every answer judged. A seed repeats a run: make chaos CHAOS_ARGS='--seed 7'.
CHAOS_FOR  ?= 3m
CHAOS_RUNS ?= 1
CHAOS_ARGS ?=
chaos:
	$(GO) run ./cmd/elector-chaos --for $(CHAOS_FOR) --runs $(CHAOS_RUNS) $(CHAOS_ARGS)

# An hour of faults and a few minutes, a fresh cluster for every seed.
chaos-long:
	$(MAKE) chaos CHAOS_FOR=7m30s CHAOS_RUNS=8

# Measured beside others and beside the floor, in one run: writes bench/RESULTS.md and the pictures in docs. About ten
# minutes on two cores, which should have nothing else to do.
bench: SIZE := short
bench-long: SIZE := long
bench bench-long: build
	CGO_ENABLED=0 $(GO) build -C bench -trimpath -ldflags '-s -w' -o ../bin/plain ./plain
	CGO_ENABLED=0 $(GO) build -C bench -trimpath -ldflags '-s -w' -o ../bin/floor ./floor
	CGO_ENABLED=0 $(GO) build -C tools -trimpath -ldflags '-s -w' -o ../bin/bench-etcdctl go.etcd.io/etcd/etcdctl/v3
	CGO_ENABLED=0 $(GO) build -C bench -o ../bin/bench .
	bin/bench --size $(SIZE) --bin bin --results bench/RESULTS.md --pictures docs

demo:
	$(GO) run ./cmd/elector-demo

# The build uses the host's network: a module proxy that this machine reaches only in its own way is reached in the build as well.
image:
	docker build --network=host --build-arg VERSION='$(VERSION)' --build-arg GOPROXY="$$($(GO) env GOPROXY)" --tag '$(IMAGE)' .

# Fleets of containers, on networks of their own: the image must be there.
e2e: image
	$(GO) test -count=1 -tags e2e -v ./test/e2e ./test/compose

bin/etcdctl: tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) build -C tools -trimpath -o ../bin/etcdctl go.etcd.io/etcd/etcdctl/v3

bin/staticcheck: tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) build -C tools -trimpath -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

clean:
	rm -rf bin
