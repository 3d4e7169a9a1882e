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

.PHONY: build sbom reproducible test lint demo image deb e2e prove model mutants chaos chaos-long compat fuzz bench bench-long bench-kube spin mutation mutation-store mixed herd clean

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

# Nobody should have to believe us: docs/proof.md. About ten minutes on two cores; at the end it says how much was seen.
prove: SHELL := bash
prove:
	@set -o pipefail; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(MAKE) model mutants chaos | tee "$$log"; status=$$?; \
	echo; grep -E '^(model|walks|mutants|chaos): ' "$$log"; exit $$status

# Every interleaving of small worlds around the code that decides.
model:
	ELECTOR_MODEL=full $(GO) test -count=1 -timeout 25m -run '^TestModel' -v ./internal/election

# The protocol written down once more, for spin, the large world too: a minute or more. The small ones are an ordinary test.
spin:
	ELECTOR_SPIN_DEEP=1 $(GO) test -count=1 -timeout 30m -run '^TestLease' -v ./test/spin

# One defence after the other taken out: each must be noticed. Then the daemon that everybody writes first: it must fail.
mutants:
	$(GO) run ./internal/chaos/mutants

# One small change after the other, wherever there is one to make, in the package that decides: the tests that reach it must
# notice, or internal/mutation/explained.txt says why nothing need. The model does not look: what it alone would notice should
# have a sentence of its own. About ten minutes on two cores, an hour at most.
MUTATION_ARGS    ?=
MUTATION_WITHOUT ?= ^TestModel|^TestRandomFaults
mutation:
	$(GO) run ./internal/mutation --for 1h --twice --without '$(MUTATION_WITHOUT)' $(MUTATION_ARGS) ./internal/election

# A sample of the same in the store, whose tests start etcd and wait: an hour at most. It tells what it finds, and fails by it.
mutation-store:
	$(GO) run ./internal/mutation --for 1h --workers 4 --twice --one-in 10 $(MUTATION_ARGS) ./internal/etcdstore

# Real processes, real faults, every answer judged. A seed repeats a run: make chaos CHAOS_ARGS='--seed 7'.
CHAOS_FOR  ?= 3m
CHAOS_RUNS ?= 1
CHAOS_ARGS ?=
chaos:
	$(GO) run ./cmd/elector-chaos --for $(CHAOS_FOR) --runs $(CHAOS_RUNS) $(CHAOS_ARGS)

# An hour of faults and a few minutes, a fresh cluster for every seed, and electors that look for data races (RACE= for
# those that are shipped). Then one fleet lives through half an hour of all faults that end no elector.
LONG_RUNS ?= 8
SOAK_FOR  ?= 30m
RACE      ?= --race
chaos-long:
	$(MAKE) chaos CHAOS_FOR=7m30s CHAOS_RUNS=$(LONG_RUNS) CHAOS_ARGS='$(RACE) $(CHAOS_ARGS)'
	$(MAKE) chaos CHAOS_FOR=$(SOAK_FOR) CHAOS_RUNS=1 CHAOS_ARGS='--scenario soak'

# Each release of etcd that is in use, on its own program: docs/proof.md. About twenty minutes on two cores, at most ten for each cell.
ETCD34 ?= /usr/bin/etcd
compat: bin/etcdctl bin/etcd-3.5 bin/etcd-3.6 bin/etcd-3.7
	GO='$(GO)' ETCD34='$(ETCD34)' test/compat/run $(COMPAT)

# What reads bytes that others chose. Each group (http, configuration, records, state) gets so many seconds in total.
FUZZ_FOR ?= 600
fuzz:
	GO='$(GO)' test/fuzz/run $(FUZZ_FOR)

# Candidates of several kinds in one election: electors of this commit and of an earlier one (MIXED_WITH, else the one
# before), etcdctl elect, and a plain program. Less than a minute, but for compiling.
MIXED_WITH ?=
mixed: bin/etcdctl
	ELECTOR_TEST_ETCDCTL='$(CURDIR)/bin/etcdctl' ELECTOR_TEST_BEFORE='$(MIXED_WITH)' \
		$(GO) test -count=1 -timeout 10m -tags mixed -v ./test/mixed

# What a thousand electors do to etcd when something happens to all at once: writes bench/HERD.md and docs/herd.svg. Less
# than ten minutes on two cores, which should have nothing else to do.
herd:
	CGO_ENABLED=0 $(GO) build -C bench -tags grpcnotrace -o ../bin/herd ./herd
	bin/herd --results bench/HERD.md --picture docs/herd.svg

# Measured beside others and beside the floor, in one run: writes bench/RESULTS.md and the pictures in docs. About thirteen
# minutes on two cores, which should have nothing else to do. client-go is measured where there is an API server:
# make bench BENCH_ARGS='--kubeconfig FILE'. make bench-kube runs one of its own, which is built from its module: a quarter of
# an hour the first time.
BENCH_ARGS ?=
bench bench-kube: SIZE := short
bench-long: SIZE := long
bench-kube: bin/kube-apiserver
bench-kube: BENCH_ARGS += --kube-apiserver bin/kube-apiserver
bench bench-long bench-kube: build
	CGO_ENABLED=0 $(GO) build -C bench -trimpath -ldflags '-s -w' -o ../bin/plain ./plain
	CGO_ENABLED=0 $(GO) build -C bench -trimpath -ldflags '-s -w' -o ../bin/floor ./floor
	CGO_ENABLED=0 $(GO) build -C bench/clientgo -trimpath -ldflags '-s -w' -o ../../bin/clientgo .
	CGO_ENABLED=0 $(GO) build -C tools -trimpath -ldflags '-s -w' -o ../bin/bench-etcdctl go.etcd.io/etcd/etcdctl/v3
	CGO_ENABLED=0 $(GO) build -C bench -o ../bin/bench .
	bin/bench --size $(SIZE) --bin bin --image '$(IMAGE)' --results bench/RESULTS.md --pictures docs $(BENCH_ARGS)

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

# Servers of the minor releases of etcd that are in use, for make compat. 3.4 has no module to build: it is Debian's.
bin/etcd-3.5: tools/etcd35/go.mod tools/etcd35/go.sum
	CGO_ENABLED=0 $(GO) build -C tools/etcd35 -trimpath -o ../../bin/etcd-3.5 go.etcd.io/etcd/server/v3

bin/etcd-3.6: tools/etcd36/go.mod tools/etcd36/go.sum
	CGO_ENABLED=0 $(GO) build -C tools/etcd36 -trimpath -o ../../bin/etcd-3.6 go.etcd.io/etcd/server/v3

bin/etcd-3.7: tools/etcd37/go.mod tools/etcd37/go.sum
	CGO_ENABLED=0 $(GO) build -C tools/etcd37 -trimpath -o ../../bin/etcd-3.7 go.etcd.io/etcd/server/v3

# Nothing but a test of the charts needs it, that of test/kubernetes, which takes the one that ELECTOR_TEST_HELM names.
bin/helm: tools/helm/go.mod tools/helm/go.sum
	CGO_ENABLED=0 $(GO) build -C tools/helm -trimpath -o ../../bin/helm helm.sh/helm/v4/cmd/helm

# Nothing but make bench-kube needs it, so that no machine has to build it for anything else.
bin/kube-apiserver: tools/kube/go.mod tools/kube/go.sum
	CGO_ENABLED=0 $(GO) build -C tools/kube -trimpath -ldflags '-s -w' -o ../../bin/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver

clean:
	rm -rf bin
