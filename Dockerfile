# The image of bookend's static binary, for a machine with a container engine and nothing else:
#
#     docker build -t bookend .
#
# PACKAGES names the binaries in it: with --build-arg PACKAGES="bookend bookend-rehearse", it is a package of tools to copy from.
#
# BUILDER is an image with a Rust toolchain: an official one, or your own. scripts/setup adds what it lacks
# (musl-gcc by apt-get, the Rust target by rustup).
ARG BUILDER=rust:1.95-slim
FROM ${BUILDER} AS build
WORKDIR /bookend
COPY . .
RUN scripts/setup build
ARG PACKAGES=bookend
RUN target="$(uname -m)-unknown-linux-musl" && mkdir /out && for package in $PACKAGES; do \
        cargo build --release --locked --config .cargo/release.toml --target "$target" --package "$package" \
        && cp "target/$target/release/$package" /out/ || exit 1; done

FROM scratch
COPY --from=build /out/ /
ENTRYPOINT ["/bookend", "--"]
LABEL org.opencontainers.image.title="bookend" \
      org.opencontainers.image.description="The first and last process of a container: one static binary" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
