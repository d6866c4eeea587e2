# What a person or CI types. `make test` is everything, on a fresh Debian or Ubuntu with a Rust
# toolchain; each step is a line you can also run by hand.

SHELL := /bin/bash
# rustup installs here, and a non-login shell may not have it in PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin

target := $(shell uname -m)-unknown-linux-musl
folder := $(abspath $(or $(CARGO_TARGET_DIR),target))
# The static release binary. Every test that starts bookend starts this one.
export BOOKEND_BIN := $(folder)/$(target)/release/bookend
# The same without TLS, whose size is a promise, too.
without_tls := $(folder)/without-tls/$(target)/release/bookend

scripts := $(wildcard scripts/*) .ci/run .cargo/rustc images/nginx/docker-entrypoint.sh images/nginx/prepare $(wildcard images/nginx/entrypoint.d/*)

.DEFAULT_GOAL := help
.PHONY: help setup build build-all build-without-tls test lint check images demo bench bench-drain model broken mutants fuzz memory soak supply-chain reproducible fmt clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages (as root), the musl targets
	@scripts/setup

build: setup ## the static release binary for this machine
	cargo build --release --target $(target)
	@echo "built $(BOOKEND_BIN)"

build-all: setup ## the static release binaries for x86_64 and aarch64
	cargo build --release --target x86_64-unknown-linux-musl
	cargo build --release --target aarch64-unknown-linux-musl

# In the same folder as the other one: all that it is made of is there, but for bookend itself. The other one is put back.
build-without-tls: setup ## the same without TLS, in target/without-tls
	cargo build --release --target $(target) --no-default-features --features page
	install -D $(BOOKEND_BIN) $(without_tls)
	cargo build --release --target $(target)

test: lint build-all build-without-tls ## everything: format, lints, docs, unit, property, model, suite and container tests
	scripts/supply-chain
	MODEL_DISTURBANCES=2 scripts/machine model
	scripts/machine broken
	scripts/with-engine cargo test --features import

check: lint build-without-tls ## the same without container tests
	CI= cargo test --features import

lint: setup ## format, clippy, rustdoc and shellcheck, without warnings
	shellcheck $(scripts)
	cargo fmt --check
	cargo clippy --all-targets --features import -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

images: build-all ## the container images, as tarballs for docker load
	scripts/with-engine scripts/images --save target/images

demo: build ## nginx under bookend: hooks, a graceful stop under load, the stop's timeline
	scripts/demo

bench: build-without-tls ## speed, memory and size beside other inits, as ratios to tini of the same run (as root; docs/performance.md)
	scripts/bench-inits
	BENCH_INITS=target/bench-inits/bin BOOKEND_WITHOUT_TLS=$(without_tls) cargo bench --profile dev --bench inits

bench-drain: build ## what a stop costs nginx' clients, nine strategies side by side (as root, six minutes)
	cargo bench --profile dev --bench drain

model: ## the state machine against every history of a larger world than `make test` has (docs/proof.md)
	scripts/machine model

broken: ## a few guards of the state machine taken out, one after the other: the model must find it
	scripts/machine broken

mutants: ## every guard of the state machine broken once: the tests must notice (needs cargo-mutants)
	scripts/machine mutants

fuzz: ## what strangers write, with coverage (cargo-fuzz): a minute for each reader; FUZZ_SECONDS, SANITIZER=address
	scripts/fuzz

memory: ## faults of memory: miri, AddressSanitizer, valgrind (needs a nightly toolchain with miri; as root; docs/proof.md)
	scripts/memory

soak: build ## ten thousand random lives, each judged by the state machine; SOAK_LIVES, SOAK_SEED, SOAK_JOBS
	SOAK_LIVES=$${SOAK_LIVES:-10000} cargo test --test soak

supply-chain: build ## the bill of materials, licences, sources, bans and advisories (docs/security.md)
	scripts/supply-chain

reproducible: setup ## HEAD built twice in different folders: the same bits
	scripts/reproducible

fmt: ## format the source
	cargo fmt

clean: ## remove everything that was built
	cargo clean
