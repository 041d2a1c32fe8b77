# The three layers, an image each, and the demonstration's generator as a fourth:
#   docker build --target stg --build-arg COMMIT="$(git rev-parse HEAD)" --tag ordervault-stg:0.1.0 .
# What runs is the program, the libraries that it names, and the certificates of the public authorities: no shell, no
# package manager. A probe calls `ordervault-<layer> healthcheck`.

FROM rust:1.95-bookworm AS tools
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Any version that bookworm has will do, and its security fixes are to come by themselves.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates g++ libssl-dev libzstd-dev make pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /ordervault

# The manifests alone, with a program or library of nothing for each. The next stage is built anew when one of these
# files has changed, and not when anything else has.
FROM tools AS manifests
COPY . .
RUN find services -type f ! -name Cargo.toml ! -path '*/src/lib.rs' ! -path '*/src/main.rs' -delete \
    && for file in services/*/src/lib.rs; do echo '//! Nothing yet.' >"$file"; done \
    && for file in services/*/src/main.rs; do printf '//! Nothing yet.\nfn main() {}\n' >"$file"; done \
    && find services -type d -empty -delete

FROM tools AS dependencies
COPY --from=manifests /ordervault .
# What is known of the programs of nothing is forgotten: a source that is older than they are would count as built.
RUN cargo build --release --locked -p ordervault-stg -p ordervault-dds -p ordervault-cdm -p ordervault-demo \
    && rm -rf target/release/.fingerprint/ordervault-*

FROM dependencies AS programs
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY . .
# Late, so that another commit compiles the workspace alone.
ARG COMMIT=unknown
RUN ORDERVAULT_COMMIT=$COMMIT \
    cargo build --release --locked -p ordervault-stg -p ordervault-dds -p ordervault-cdm -p ordervault-demo
RUN for name in stg dds cdm demo; do \
        program=target/release/ordervault-$name root=/images/$name; \
        mkdir -p "$root/etc/ssl/certs" "$root/usr/bin" "$root/usr/lib/ssl"; \
        cp "$program" "$root/usr/bin/"; \
        strip "$root/usr/bin/ordervault-$name"; \
        ldd "$program" | grep -o '/[^ ]*' | xargs cp -L --parents -t "$root"; \
        cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; \
        # Where OpenSSL looks, which is to say Kafka's client; the others look above.
        ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"; \
        echo 'ordervault:x:65532:65532::/:/usr/sbin/nologin' >"$root/etc/passwd"; \
        # Without it the C library asks DNS before /etc/hosts.
        echo 'hosts: files dns' >"$root/etc/nsswitch.conf"; \
    done

FROM scratch AS runtime
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="Ordervault" \
      org.opencontainers.image.description="Keeps a warehouse in PostgreSQL current from a stream of orders in Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$COMMIT"
USER 65532:65532

FROM runtime AS demo
COPY --from=programs /images/demo /
ENTRYPOINT ["/usr/bin/ordervault-demo"]

FROM runtime AS stg
COPY --from=programs /images/stg /
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/ordervault-stg", "healthcheck"]
ENTRYPOINT ["/usr/bin/ordervault-stg"]

FROM runtime AS dds
COPY --from=programs /images/dds /
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/ordervault-dds", "healthcheck"]
ENTRYPOINT ["/usr/bin/ordervault-dds"]

FROM runtime AS cdm
COPY --from=programs /images/cdm /
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/ordervault-cdm", "healthcheck"]
ENTRYPOINT ["/usr/bin/ordervault-cdm"]
