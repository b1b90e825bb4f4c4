# Each command is one of `cargo xtask --help`; this file only makes sure that there is a toolchain to run it with.
# ARGS is passed on: make up ARGS="--listen 127.0.0.1:5077 --persistent /some/dir"
.DEFAULT_GOAL := help
.PHONY: help up test image dist cluster cluster-down bench audit fmt clean toolchain

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1:/p' $(firstword $(MAKEFILE_LIST)) | awk -F: '{ n = $$1; sub(/[^:]*:/, ""); printf "  make %-12s %s\n", n, $$0 }'

up: toolchain ## build everything and serve the counter at http://127.0.0.1:5000 (ARGS="--listen ADDR --persistent DIR …")
	@cargo xtask up $(ARGS)

test: toolchain ## run every test and lint (ARGS=unit, host, containerd, browser, cluster or lint: that kind alone)
	@cargo xtask test $(ARGS)

image: toolchain ## write the counter's OCI images into target/image
	@cargo xtask image $(ARGS)

dist: toolchain ## write what is released for nodes, the shim and its installer, into target/dist
	@cargo xtask dist $(ARGS)

cluster: toolchain ## bring up a Kubernetes of one node, built from source, with the counter on it (root, Go)
	@cargo xtask cluster up $(ARGS)

cluster-down: toolchain ## end that Kubernetes and remove all that it has left, its volumes too
	@cargo xtask cluster down

bench: toolchain ## measure visits a second, beside a hello-world component
	@cargo xtask bench $(ARGS)

audit: toolchain ## check the dependencies: licenses, sources and, from GitHub, known vulnerabilities
	@cargo xtask audit

fmt: toolchain ## format the code
	@cargo fmt --all

# The tests' cluster is there only when they were interrupted. Without its directory nothing could end it.
clean: toolchain ## remove what was built; counts in persistent/ stay
	@[ ! -e target/cluster-test ] || VISITS_CLUSTER_DIR=target/cluster-test cargo xtask cluster down
	@cargo clean && rm -f visits.wasm

# `rustup toolchain install` reads rust-toolchain.toml; it takes a tenth of a second when all is there already, and
# shows its progress when it is not.
toolchain:
	@command -v rustup >/dev/null || { echo "rustup is missing: install it (1.28 or newer) from https://rustup.rs, then run make again" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "there is no C linker (cc): install one, on Debian with: apt-get install build-essential" >&2; exit 1; }
	@rustup $$(rustup target list --installed 2>/dev/null | grep -qx wasm32-wasip2 && echo --quiet) toolchain install
