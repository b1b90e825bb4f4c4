# Each target is a command of `cargo xtask --help`. This file makes sure that there is a toolchain to run it with.
# ARGS is passed on: make up ARGS="--listen 127.0.0.1:5077 --persistent /some/dir"
.DEFAULT_GOAL := help
.PHONY: help up check lint test soak kills disks fuzz mutants doc image dist cluster cluster-down bench conformance audit fmt clean toolchain

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.* ## /\1:/p' $(firstword $(MAKEFILE_LIST)) | awk -F: '{ n = $$1; sub(/[^:]*:/, ""); printf "  make %-12s %s\n", n, $$0 }'

up: toolchain ## build everything and serve the counter at http://127.0.0.1:5000 (ARGS="--listen ADDR --persistent DIR …")
	@cargo xtask up $(ARGS)

check: toolchain ## check formatting, clippy and unit tests: the quick run between two edits (no root, no network)
	@cargo xtask check

lint: toolchain ## run every lint: formatting, clippy, shellcheck, documentation, licenses
	@cargo xtask test lint $(ARGS)

test: toolchain ## run every test and lint (ARGS=unit, host, containerd, browser, cluster or lint: only that kind; ARGS=--plan: list the steps)
	@cargo xtask test $(ARGS)

soak: toolchain ## run the counter's simulator on new seeds for an hour (ARGS="--minutes N": for as long as you like)
	@cargo xtask soak $(ARGS)

kills: toolchain ## kill hosts under load, 100 times in each test (ARGS="--what shim": shims; also containerd and kubelet)
	@cargo xtask kills $(ARGS)

disks: toolchain ## cut the power of the counter's disk 100 times on each file system, and let disks fail
	@cargo xtask disks $(ARGS)

fuzz: toolchain ## fuzz every reader of untrusted bytes with a million inputs (ARGS="volume --runs N": only that target)
	@cargo xtask fuzz $(ARGS)

mutants: toolchain ## change the code that counts in many small ways, and find the changes that no test notices
	@cargo xtask mutants $(ARGS)

doc: toolchain ## build the documentation of all crates
	@cargo xtask doc

image: toolchain ## write the counter's OCI images into target/image
	@cargo xtask image $(ARGS)

dist: toolchain ## write the release for nodes, the shim and its installer, into target/dist
	@cargo xtask dist $(ARGS)

cluster: toolchain ## start a Kubernetes of one node, built from source, with the counter on it (root, Go)
	@cargo xtask cluster up $(ARGS)

cluster-down: toolchain ## stop that Kubernetes and remove everything that belongs to it, including its volumes
	@cargo xtask cluster down

bench: toolchain ## measure the counter beside its peers, and print what was reached of each goal (ARGS=--quick: only try it)
	@cargo xtask bench $(ARGS)

conformance: toolchain ## run test suites of Kubernetes, containerd and the CRI with runc and with preopen (ARGS=critest: only that suite)
	@cargo xtask conformance $(ARGS)

audit: toolchain ## check the dependencies: licenses, sources and, from GitHub, known vulnerabilities
	@cargo xtask audit

fmt: toolchain ## format the code
	@cargo fmt --all

# Interrupted tests leave their clusters running. Only the clusters' directories make it possible to stop them.
clean: toolchain ## remove everything that was built; counts in persistent/ stay
	@for cluster in target/cluster-test target/cluster-test-ipv6; do \
		[ ! -e $$cluster ] || VISITS_CLUSTER_DIR=$$cluster cargo xtask cluster down || exit; \
	done
	@cargo clean && rm -f visits.wasm

# `rustup toolchain install` reads rust-toolchain.toml. It takes a tenth of a second if everything is installed, and
# shows its progress if not.
toolchain:
	@command -v rustup >/dev/null || { echo "rustup is not installed: install it (1.28 or newer) from https://rustup.rs, then run make again" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C linker (cc) is not installed: install one, on Debian with: apt-get install build-essential" >&2; exit 1; }
	@rustup $$(rustup target list --installed 2>/dev/null | grep -qx wasm32-wasip2 && echo --quiet) toolchain install
