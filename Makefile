# The targets for people and CI. Each step is a line that you can also run by hand. `make test` runs everything, on a fresh
# Debian or Ubuntu with a Rust toolchain.

SHELL := /bin/bash
# rustup installs here, and a non-login shell may not have it in PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin

target := $(shell uname -m)-unknown-linux-musl
folder := $(abspath $(or $(CARGO_TARGET_DIR),target))
# The static release binary. Every test that starts bookend starts this one.
export BOOKEND_BIN := $(folder)/$(target)/release/bookend
# The same without default features. Its size is a promise, too.
export MINIMAL_BIN := $(folder)/minimal/$(target)/release/bookend
# The static tool that rehearses a rollout.
export REHEARSE_BIN := $(folder)/$(target)/release/bookend-rehearse
# The static tool for manifests and clusters.
export KUBECTL_BOOKEND_BIN := $(folder)/$(target)/release/kubectl-bookend

# The toolchain that releases are built with. Every other one from Cargo.toml's rust-version on works as well.
toolchain := 1.95.0
release := scripts/as-caller cargo build --release --config .cargo/release.toml

scripts := $(wildcard scripts/*) .ci/run .cargo/remap-paths images/nginx/docker-entrypoint.sh images/nginx/prepare $(wildcard images/nginx/entrypoint.d/*)

.DEFAULT_GOAL := help
.PHONY: reload vm checkpoint space help setup toolchain build build-all build-minimal build-rehearse build-rehearse-all build-kubectl build-kubectl-all test lint check images bump book demo bench bench-drain conformance rehearse model broken mutants packages fuzz memory soak differential supply-chain reproducible fmt clean flood refusals

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what `make test` needs (as root); scripts/setup GOAL installs what one goal needs
	@scripts/setup test

toolchain:
	@version=$$(scripts/as-caller rustc --version | cut -d ' ' -f 2); [ "$$version" = $(toolchain) ] || \
		echo "make: releases are built with Rust $(toolchain), this is $${version:-no toolchain}: it works, but the binary is not a release's" >&2

build: toolchain ## build the static release binary for this machine
	@scripts/setup build
	$(release) --target $(target)
	@echo "built $(BOOKEND_BIN)"

build-all: toolchain ## build the static release binaries for x86_64 and aarch64
	@scripts/setup build-all
	$(release) --target x86_64-unknown-linux-musl
	$(release) --target aarch64-unknown-linux-musl

build-minimal: toolchain ## build the same for this machine without default features, in target/minimal
	@scripts/setup build
	$(release) --target $(target) --no-default-features --target-dir $(folder)/minimal
	@echo "built $(MINIMAL_BIN)"

build-rehearse: toolchain ## build bookend-rehearse, the static tool that rehearses a rollout of any image
	@scripts/setup build
	$(release) --target $(target) --package bookend-rehearse
	@echo "built $(REHEARSE_BIN)"

build-rehearse-all: toolchain ## build bookend-rehearse for x86_64 and aarch64
	@scripts/setup build-all
	$(release) --target x86_64-unknown-linux-musl --package bookend-rehearse
	$(release) --target aarch64-unknown-linux-musl --package bookend-rehearse

build-kubectl: toolchain ## build kubectl-bookend, the static tool for manifests and clusters, for this machine
	@scripts/setup build
	$(release) --target $(target) --package kubectl-bookend
	@echo "built $(KUBECTL_BOOKEND_BIN)"

build-kubectl-all: toolchain ## build kubectl-bookend for x86_64 and aarch64
	@scripts/setup build-all
	$(release) --target x86_64-unknown-linux-musl --package kubectl-bookend
	$(release) --target aarch64-unknown-linux-musl --package kubectl-bookend

test: space setup ## run everything: format, lints, docs, all tests, models, packages, containers
	@# At once, because the linker of a release build uses one processor only.
	$(MAKE) --no-print-directory --jobs 2 --output-sync lint build-all build-minimal build-rehearse
	scripts/supply-chain
	MODEL_DISTURBANCES=2 $(MAKE) --no-print-directory model
	scripts/broken
	scripts/packages
	cargo test --no-default-features --lib
	scripts/with-engine cargo test --workspace --all-features

# The free space that a run of all tests needs, with the images of the private engine.
space:
	@scripts/need-space $(folder) 6000 "make test"
	@scripts/need-space $${TMPDIR:-/tmp} 2000 "make test"

check: lint build-minimal ## run the same tests as far as this machine has what they need, without container tests
	CI= cargo test --workspace --all-features

lint: ## check format, clippy, rustdoc, shellcheck and portability, without warnings
	@scripts/setup lint
	shellcheck $(scripts)
	scripts/lint-workflows
	scripts/bump --check
	cargo fmt --all --check
	cargo check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	scripts/portable

images: build build-kubectl ## build the container images, and save them as tarballs for docker load
	@scripts/setup images
	scripts/with-engine scripts/images --save target/images

bump: ## make versions in manifests and documents follow Cargo.toml; VERSION=1.2.3 sets it first
	scripts/bump $(VERSION)

book: ## render docs/ as a book in target/book (needs mdbook)
	@command -v mdbook >/dev/null || { echo "mdbook is missing: cargo install mdbook --locked" >&2; exit 1; }
	mdbook build
	cp -R CHANGELOG.md config images target/book
	sed -i 's|\.\./CHANGELOG\.html|../CHANGELOG.md|g' target/book/docs/*.html

demo: build ## show nginx under bookend: hooks, a graceful stop under load, the stop's timeline
	@scripts/setup demo
	scripts/demo

bench: build build-minimal ## measure speed, memory and size beside other inits, as ratios to tini of the same run (as root)
	@scripts/setup bench
	scripts/bench-inits
	BENCH_INITS=target/bench-inits/bin cargo bench --profile dev --bench inits

flood: build ## measure probes, hooks and signals under 10,000 connections a second, and beside 100,000 (as root); FLOOD_CONNECTIONS
	cargo test --test suite --no-run
	cargo test --test suite flood::figures -- --ignored --nocapture --test-threads 1

refusals: build ## refuse each system call of bookend, three errors, from the start and later: each must have an answer (half an hour)
	cargo test --test suite refused_calls::every -- --ignored --nocapture

bench-drain: build ## measure what a stop costs nginx' clients, nine strategies side by side (as root, six minutes)
	@scripts/setup bench
	cargo bench --profile dev --bench drain

conformance: build ## compare bookend with other inits, check by check, and write docs/comparison.md (as root, five minutes)
	@scripts/setup bench
	scripts/conformance-inits
	cargo bench --profile dev --bench conformance

rehearse: build build-rehearse ## rehearse the strategies of bench-drain, five runs of each server, and the commands of docs/rehearse.md (20 minutes)
	@scripts/setup bench
	cargo test --package bookend-rehearse --test tool -- --ignored --test-threads 1
	scripts/with-engine cargo test --test containers rehearsal -- --ignored

model: ## check the state machines against every history of a bounded world; MODEL_DISTURBANCES, MODEL_TICKS
	MODEL_DISTURBANCES=$${MODEL_DISTURBANCES:-3} cargo test --package bookend-lifecycle --test model --profile model -- --nocapture

broken: ## take guards out of the state machines, one after the other: the model must notice each
	scripts/broken

reload: ## swap configuration and certificates of nginx and haproxy 200 times under load (as root, ten minutes)
	RELOAD_SWAPS=$${RELOAD_SWAPS:-200} cargo test --features reload --test suite reload::servers -- --nocapture

vm: build ## let an app use up its memory in a virtual machine: cgroup v2, memory.oom.group 0 and 1 (QEMU without KVM; as root)
	@scripts/setup vm
	scripts/vm

checkpoint: build ## checkpoint and restore a life in each stage by CRIU; CRIU=path names another one (as root)
	@scripts/setup checkpoint
	cargo test --test suite checkpoint:: -- --ignored --nocapture --test-threads 1

mutants: ## break every guard of the state machines once: the tests must notice (needs cargo-mutants)
	cargo mutants --package bookend-lifecycle --output target --no-shuffle

packages: ## pack the crates and run each package's own tests
	scripts/packages

fuzz: ## fuzz the parsers of untrusted input, with coverage (cargo-fuzz); FUZZ_SECONDS for each, SANITIZER=address
	scripts/fuzz

memory: ## look for memory errors: miri, AddressSanitizer, valgrind (needs nightly Rust with miri; as root)
	scripts/memory

soak: build ## run ten thousand random container lives, each judged by the state machine; SOAK_LIVES, SOAK_SEED, SOAK_JOBS
	SOAK_LIVES=$${SOAK_LIVES:-10000} cargo test --test soak

differential: build ## run five hundred random process trees under tini and under bookend; TREES, TREES_SEED (as root)
	TREES=$${TREES:-500} cargo test --test suite random_process_trees

supply-chain: build ## write the bill of materials; check licences, sources, bans and advisories
	scripts/supply-chain

reproducible: toolchain ## build HEAD twice in different folders and compare the bits
	@scripts/setup build
	scripts/reproducible

fmt: ## format the source
	cargo fmt --all

clean: ## remove everything that was built
	cargo clean
