# Elector as one static binary in an empty image. Made to build with the classic
# builder too: no syntax here needs BuildKit, and every argument has a default.
#
#	docker build --build-arg VERSION="$(git describe --always --dirty --tags)" --tag elector .
#
# For another processor: make image GOARCH=arm64, which needs no emulation.

# The image to compile in: any that has Go and a certificate bundle.
ARG GO_IMAGE=golang:1.26-bookworm
# The processor to compile for; BuildKit knows it by --platform.
ARG GOARCH=${TARGETARCH:-amd64}
# An image without a file. The classic builder writes its own processor on what begins with scratch; an empty image has one.
ARG EMPTY=scratch

FROM ${GO_IMAGE} AS build
WORKDIR /src

# The modules are a layer of their own, fetched anew only when they change.
ARG GOPROXY
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG VERSION=unknown
ARG GOARCH
# With the flags of the Makefile, so that both make the same file, byte for byte. The compiler's cache would only make the
# layer larger: the next build cannot see it.
RUN CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=false -tags grpcnotrace -o /elector \
        -ldflags "-s -w -X github.com/elector-dev/elector/internal/cli.version=${VERSION}" ./cmd/elector \
    && go clean -cache

FROM --platform=linux/${GOARCH} ${EMPTY}
# Authorities that sign for an etcd whose certificate names no other with --etcd-cacert.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /elector /elector

ARG VERSION=unknown
ARG REVISION=unknown
# No date: it would make two images of one commit differ.
LABEL org.opencontainers.image.title="elector" \
      org.opencontainers.image.description="Leader election over etcd for the program beside it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/elector-dev/elector" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
EXPOSE 4040
# Whether its loop runs, and not whether etcd is there: no restart would mend that, and Swarm restarts who is unhealthy.
# It asks where ELECTOR_HTTP has elector listen; a flag --http it cannot see.
HEALTHCHECK --interval=10s --timeout=2s --start-period=5s --retries=3 CMD ["/elector", "check", "--role=live"]
ENTRYPOINT ["/elector"]
