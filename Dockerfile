# Elector as one static binary in an empty image. Made to build with the classic
# builder too: no syntax here needs BuildKit, and every argument has a default.
#
#	docker build --build-arg VERSION="$(git describe --always --dirty --tags)" --tag elector .

# The image to compile in: any that has Go and a certificate bundle.
ARG GO_IMAGE=golang:1.26-bookworm

FROM ${GO_IMAGE} AS build
WORKDIR /src

# The modules are a layer of their own, fetched anew only when they change.
ARG GOPROXY
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG VERSION=unknown
# The compiler's cache would only make the layer larger: the next build cannot see it.
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -o /elector \
        -ldflags "-s -w -X github.com/elector-dev/elector/internal/cli.version=${VERSION}" ./cmd/elector \
    && go clean -cache

FROM scratch
# Authorities that sign for an etcd whose certificate names no other with --etcd-cacert.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /elector /elector

ARG VERSION=unknown
LABEL org.opencontainers.image.title="elector" \
      org.opencontainers.image.description="Leader election over etcd for the program beside it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"

# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
EXPOSE 4040
ENTRYPOINT ["/elector"]
