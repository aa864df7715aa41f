# `make test` installs what a fresh Debian machine lacks and runs everything.

# What tests need more than Rust for, and what is off by default.
ALL_TESTS = browser-tests,cache-tests,envoy-tests,front-tests,instruction-counts,count-allocations,origin-tests

.PHONY: test tools worker package lint tests fuzz bench peers

test: tools lint tests
	@echo "everything passed"

# Chromium, its driver, valgrind, and the proxies, caches and origins around it. What the Worker needs beyond Rust and
# Node.js, `tools/wasm` sees to, and Envoy `tools/envoy`.
tools:
	@command -v cargo >/dev/null || { echo "install Rust 1.91 or newer first: https://rustup.rs"; exit 1; }
	@if ! { command -v chromedriver && command -v chromium && command -v valgrind && command -v nginx && \
		command -v apache2 && command -v gunicorn && command -v haproxy && command -v caddy; } >/dev/null; then \
		tools/apt chromium chromium-driver valgrind nginx apache2 gunicorn haproxy caddy; \
	fi

# The Cloudflare Worker, into `build/`, the one that manages, into `build-manage/`, and both as a package for npm, into
# `build-package/`. Nothing is done where nothing changed.
worker:
	tools/wasm deploy/cloudflare/build package

# The package as one file, `velvetrope-worker-….tgz`, to be installed with npm where there is no Rust.
package: worker
	cd build-package && npm pack

# With a look at what comes with it (deny.toml), and clippy's eyes also on the pure core. What is only for native hosts
# must not reach a wasm build (tokio's traits do, but not mio, its half that speaks to the operating system), and none of
# its modules has warnings.
lint: worker
	cargo fmt --check
	tools/deny
	cargo clippy --locked --all-targets --features $(ALL_TESTS) -- -D warnings
	cargo clippy --locked --lib --no-default-features -- -D warnings
	@! cargo tree --locked --features worker,worker-compiler,worker-manage --target wasm32-unknown-unknown --edges normal \
		--prefix none | grep -E '^(mio|hyper|clap|maxminddb|notify|tonic|prost|ureq|rusqlite) '
	@! (cd deploy/cloudflare && ../../tools/wasm sh -c '. ./flags && wasm="--target wasm32-unknown-unknown" && \
		cargo build --locked --release $$wasm && for module in compiler manage; do \
			cargo build --locked --profile $$module $$wasm --no-default-features --features $$module || exit; \
		done') 2>&1 | grep -A9 '^warning'

# Unit, language, conformance, property, allocation, command-line and proxy tests, the demo in a real browser, the
# proxy behind real ones, behind real caches and before real origins, the callout behind a real Envoy, the instructions of
# hot paths, the API with its own clients, and the Worker in the runtime that it is made for.
tests: worker
	tools/envoy cargo test --locked --features $(ALL_TESTS)
	tools/clients
	cd tests/worker && npm test

# Needs `cargo install cargo-fuzz`; SECONDS for each target.
FUZZ_SECONDS ?= 300
fuzz:
	fuzz/run $(FUZZ_SECONDS)

bench:
	cargo bench

# The same work by other engines; a package of its own.
peers:
	cd benches/peers && cargo bench
