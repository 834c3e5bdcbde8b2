# syntax=docker/dockerfile:1
# An image with one static binary and the roots of TLS, and nothing else: no shell, no libc, no user that could write.
#
#   docker build -t pillion .
#   docker run --rm -p 127.0.0.1:4100:4100 pillion run --listen 0.0.0.0:4100
#
# Agents outside of the container reach it beyond its own loopback alone, hence --listen; the admin port does the same with --admin and a token.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Built for the machine that builds, by name: what is static must not be asked of build scripts and procedural macros.
RUN --mount=type=cache,id=pillion-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=pillion-target,target=/src/target \
    machine="$(rustc --print host-tuple)" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin pillion --target "$machine" \
    && install -D "target/$machine/release/pillion" /image/pillion \
    && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt

FROM scratch
LABEL org.opencontainers.image.title="Pillion" \
      org.opencontainers.image.description="An observability sidecar proxy for LLM traffic" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /image/ /
# Nobody's: owns no file and needs none.
USER 65532:65532
# Agents; health and metrics.
EXPOSE 4100 4101
ENTRYPOINT ["/pillion"]
CMD ["run"]
