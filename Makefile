# What the project's people and its CI run. Go alone builds and tests it: `go test -race -shuffle=on ./...`
# needs nothing of this file, and skips what needs root, Docker or etcdctl where that is missing.

GO      ?= go
VERSION := $(or $(VERSION),$(shell git describe --always --dirty --tags 2>/dev/null),unknown)
IMAGE   ?= elector:$(VERSION)
BINARY  ?= bin/elector
DEB_ARCH ?= $(shell $(GO) env GOARCH)
REVISION := $(or $(REVISION),$(shell git rev-parse HEAD 2>/dev/null),unknown)
# The processor that the image is for: make image GOARCH=arm64 needs no emulation.
GOARCH  ?= $(shell $(GO) env GOARCH)

# What the product is built with, here and in the Dockerfile, so that both make the same file, byte for byte. gRPC's
# traces, which nobody reads here, would have the linker keep three megabytes of methods.
PRODUCT = CGO_ENABLED=0 GOFLAGS= $(GO) build -trimpath -buildvcs=false -tags grpcnotrace \
	-ldflags '-s -w -X github.com/elector-dev/elector/internal/cli.version=$(VERSION)'

# Each folder with a go.mod is a module of its own, so that what only tools or benchmarks need stays out of the product.
MODULES := $(dir $(wildcard go.mod */go.mod */*/go.mod))

.PHONY: build sbom reproducible test lint demo image deb e2e prove model mutants chaos chaos-long fuzz bench bench-long clean

build:
	$(PRODUCT) -o '$(BINARY)' ./cmd/elector

# What the binary is made of, as SPDX beside it. Its date is that of the commit, so that it is the same each time.
sbom: build
	GOOS= GOARCH= $(GO) run ./internal/sbom --version '$(VERSION)' --created "$$(git log -1 --format=%ct 2>/dev/null || echo 0)" '$(BINARY)' >'$(BINARY).spdx.json'
	@echo "sbom: $$(grep -c '"SPDXID": "SPDXRef-Package' '$(BINARY).spdx.json') packages in $(BINARY).spdx.json"

# Two builds of the same sources are the same file: here from two directories, with files of other ages, one of them with an
# empty cache. That the image has it too is tested in test/image.
reproducible: build
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && mkdir -p "$$dir/one" "$$dir/another/place" && \
	for copy in one another/place; do cp -r go.mod go.sum cmd internal "$$dir/$$copy"; done && \
	find "$$dir/another" -exec touch -d 2001-02-03 {} + && \
	(cd "$$dir/one" && umask 077 && GOCACHE="$$dir/cache" $(PRODUCT) -o "$$dir/first" ./cmd/elector) && \
	(cd "$$dir/another/place" && $(PRODUCT) -o "$$dir/second" ./cmd/elector) && \
	sha256sum "$$dir/first" "$$dir/second" '$(BINARY)' | sed "s|$$dir/||" && \
	cmp "$$dir/first" "$$dir/second" && cmp "$$dir/first" '$(BINARY)' && echo 'reproducible: the builds are the same file'

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

# What reads bytes that others chose. Each group (http, configuration, records, state) gets so many seconds in total.
FUZZ_FOR ?= 600
fuzz:
	GO='$(GO)' test/fuzz/run $(FUZZ_FOR)

# Measured beside others and beside the floor, in one run: writes bench/RESULTS.md and the pictures in docs. About twelve
# minutes on two cores, which should have nothing else to do.
bench: SIZE := short
bench-long: SIZE := long
bench bench-long: build
	CGO_ENABLED=0 $(GO) build -C bench -trimpath -ldflags '-s -w' -o ../bin/plain ./plain
	CGO_ENABLED=0 $(GO) build -C bench -trimpath -ldflags '-s -w' -o ../bin/floor ./floor
	CGO_ENABLED=0 $(GO) build -C tools -trimpath -ldflags '-s -w' -o ../bin/bench-etcdctl go.etcd.io/etcd/etcdctl/v3
	CGO_ENABLED=0 $(GO) build -C bench -o ../bin/bench .
	bin/bench --size $(SIZE) --bin bin --image '$(IMAGE)' --results bench/RESULTS.md --pictures docs

demo:
	$(GO) run ./cmd/elector-demo

# The build uses the host's network: a module proxy that this machine reaches only in its own way is reached in the build as well.
image:
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cd "$$dir" && \
	printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}' '$(GOARCH)' >config.json && \
	printf '[{"Config":"config.json","RepoTags":["elector-empty:%s"],"Layers":[]}]' '$(GOARCH)' >manifest.json && \
	tar -c config.json manifest.json | docker load --quiet >/dev/null
	docker build --network=host --build-arg EMPTY='elector-empty:$(GOARCH)' --build-arg VERSION='$(VERSION)' --build-arg REVISION='$(REVISION)' \
		--build-arg GOARCH='$(GOARCH)' --build-arg GOPROXY="$$($(GO) env GOPROXY)" --tag '$(IMAGE)' .
	@made=$$(docker create --platform 'linux/$(GOARCH)' '$(IMAGE)') && binary=$$(docker cp "$$made:/elector" - | tar -xO | wc -c); docker rm "$$made" >/dev/null; \
	echo "image: $$(docker image inspect --format '{{.Size}}' '$(IMAGE)') bytes for linux/$(GOARCH), of which the binary is $$binary"

# For Debian and what is made of it: make deb DEB_ARCH=arm64 makes the other one.
deb: bin/nfpm
	GOOS=linux GOARCH='$(DEB_ARCH)' $(MAKE) build VERSION='$(VERSION)' BINARY=bin/deb/elector
	GO='$(GO)' deploy/deb/make '$(VERSION)' '$(DEB_ARCH)'

# Fleets of containers, and a host that the Debian package is installed on. What is in the package is tested without. The image
# to compile in must be there (.ci/base-image). They wait more than they work, so all run at once.
e2e: image
	$(GO) test -count=1 -tags e2e -p 3 -skip '^TestPackage$$' -v ./test/e2e ./test/compose ./test/deb

bin/etcdctl: tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) build -C tools -trimpath -o ../bin/etcdctl go.etcd.io/etcd/etcdctl/v3

bin/staticcheck: tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) build -C tools -trimpath -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

bin/nfpm: tools/nfpm/go.mod tools/nfpm/go.sum
	CGO_ENABLED=0 $(GO) build -C tools/nfpm -trimpath -o ../../bin/nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm

# Nothing but a test of the charts needs it, that of test/kubernetes, which takes the one that ELECTOR_TEST_HELM names.
bin/helm: tools/helm/go.mod tools/helm/go.sum
	CGO_ENABLED=0 $(GO) build -C tools/helm -trimpath -o ../../bin/helm helm.sh/helm/v4/cmd/helm

clean:
	rm -rf bin
