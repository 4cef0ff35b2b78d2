# Tidewatch on the CPU, with the default model: docker build -t tidewatch .
#
# Runs `tidewatch run --config /etc/tidewatch/tidewatch.toml` as an ordinary user; probes and metrics are on port 8080.

FROM debian:bookworm-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
# The compiler, Rust as pinned and ONNX Runtime come from the same script as everywhere else, in a layer that only a
# change of a version rebuilds.
COPY rust-toolchain.toml ./
COPY scripts/lib.sh scripts/setup scripts/
COPY scripts/wheels scripts/wheels
RUN scripts/setup --build --onnxruntime && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=cache,target=/root/.cargo/registry --mount=type=cache,target=/src/target \
    PATH=$PATH:/root/.cargo/bin SQLX_OFFLINE=true cargo build --release --locked --bins && \
    install -D --target-directory=/out target/release/tidewatch target/release/tidewatch-finetune

FROM debian:bookworm-slim
# librdkafka links the system's OpenSSL and zlib, ONNX Runtime the C++ library; curl asks the health check's question.
# Their versions are Debian stable's at the time: security updates are wanted.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates curl libssl3 libstdc++6 zlib1g && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin tidewatch
WORKDIR /app
COPY --from=build /out/ /usr/local/bin/
COPY --from=build /src/.tidewatch/onnxruntime /opt/onnxruntime
COPY models/default models/default
COPY config/default.toml /etc/tidewatch/tidewatch.toml
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/tidewatch/
ENV ORT_DYLIB_PATH=/opt/onnxruntime/libonnxruntime.so \
    TIDEWATCH__HTTP__LISTEN=0.0.0.0:8080
USER 10001
EXPOSE 8080
# Liveness, not readiness: a lost broker or database is no reason to restart the process.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/livez"]
ENTRYPOINT ["tidewatch"]
CMD ["run", "--config", "/etc/tidewatch/tidewatch.toml"]
