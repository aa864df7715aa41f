# `make test` installs what a fresh Debian machine lacks and runs everything.

# What tests need more than Rust for, and what is off by default.
ALL_TESTS = browser-tests,cache-tests,envoy-tests,front-tests,instruction-counts,count-allocations,origin-tests

.PHONY: test tools worker lint tests book fuzz bench peers

test: tools lint tests book
	@echo "everything passed"

# Chromium, its driver, valgrind, and the proxies, caches and origins around it. What the Worker needs beyond Rust and
# Node.js, `tools/wasm` sees to, and Envoy `tools/envoy`.
tools:
	@command -v cargo >/dev/null || { echo "install Rust 1.91 or newer first: https://rustup.rs"; exit 1; }
	@if ! { command -v chromedriver && command -v chromium && command -v valgrind && command -v nginx && \
		command -v apache2 && command -v gunicorn && command -v haproxy && command -v caddy; } >/dev/null; then \
		tools/apt chromium chromium-driver valgrind nginx apache2 gunicorn haproxy caddy; \
	fi

# The Cloudflare Worker, into `build/`, and the one that manages, into `build-manage/`.
worker:
	tools/wasm deploy/cloudflare/build
	tools/wasm deploy/cloudflare/build manage

# With a look at what comes with it (deny.toml), and clippy's eyes also on the library with none of its features and on
# the Worker's modules as they are built.
lint: worker
	cargo fmt --all --check
	tools/deny
	cargo clippy --locked --workspace --all-targets --features $(ALL_TESTS) -- -D warnings
	cargo clippy --locked --package velvetrope --all-targets --no-default-features -- -D warnings
	@for module in connector compiler manage; do \
		tools/wasm env RUSTFLAGS="$$RUSTFLAGS -Dwarnings" cargo check --quiet --locked --package velvetrope-worker --target-dir target/lint \
			--no-default-features --features $$module --target wasm32-unknown-unknown || exit 1; \
	done

# Unit, language, conformance, property, allocation, command-line and proxy tests, the demo in a real browser, the
# proxy behind real ones, behind real caches and before real origins, the callout behind a real Envoy, the instructions of
# hot paths, the API with its own clients, and the Worker in the runtime that it is made for.
tests: worker
	tools/envoy cargo test --locked --workspace --features $(ALL_TESTS)
	tools/clients
	cd tests/worker && npm test

# The book in docs/, into target/book. That its links lead somewhere and its commands work, the tests `book` and
# `documented` see to.
book:
	tools/book

# Needs `cargo install cargo-fuzz`; SECONDS for each target.
FUZZ_SECONDS ?= 300
fuzz:
	fuzz/run $(FUZZ_SECONDS)

bench:
	cargo bench

# The same work by other engines; a package of its own.
peers:
	cd benches/peers && cargo bench
