# The image of bookend's static binary, for a machine with a container engine and nothing else:
#
#     docker build -t bookend .
#
# BUILDER is an image with a Rust toolchain: an official one, or your own. scripts/setup adds what it lacks
# (musl-gcc by apt-get, the Rust target by rustup).
ARG BUILDER=rust:1.95-slim
FROM ${BUILDER} AS build
WORKDIR /bookend
COPY . .
RUN scripts/setup build
RUN target="$(uname -m)-unknown-linux-musl" \
    && cargo build --release --locked --config .cargo/release.toml --target "$target" \
    && cp "target/$target/release/bookend" /bookend.static

FROM scratch
COPY --from=build /bookend.static /bookend
ENTRYPOINT ["/bookend", "--"]
LABEL org.opencontainers.image.title="bookend" \
      org.opencontainers.image.description="The first and last process of a container: one static binary" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
