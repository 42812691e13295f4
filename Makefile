# The commands people use. Each test step is also `.ci/run STEP`; `scripts/steps` is where steps are written.
.DEFAULT_GOAL := help
.PHONY: help demo test fuzz bench bench-calls bench-lookup bench-http install-deps install-bench-deps clean

help:
	@echo "make demo          the main job on this machine: buy a number, bind it, call it (ARGS=--once to stop after it)"
	@echo "make test          installs what the tests need, then runs all of them"
	@echo "make fuzz          each fuzz target for FUZZ_SECONDS (60), with cargo-fuzz"
	@echo "make bench         the figures of docs/PERFORMANCE.md"
	@echo "make install-deps  only the installation (make install-bench-deps for the benchmarks)"
	@echo "one test step:     .ci/run STEP, where STEP is one of: $$(scripts/steps --list)"

demo:
	cargo run --release --bin trunkline -- demo $(ARGS)

test:
	@scripts/steps

# cargo-fuzz wants a nightly compiler for its sanitizers; RUSTC_BOOTSTRAP lets the pinned one do what is needed without them.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= parser digest sdp edge
fuzz:
	@cargo fuzz --version >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked"; exit 1; }
	for target in $(FUZZ_TARGETS); do \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 || exit 1; done

bench: bench-calls bench-lookup bench-http

bench-calls:
	bench/calls

bench-lookup:
	bench/lookup

bench-http:
	bench/http

install-deps:
	@scripts/deps test

install-bench-deps:
	@scripts/deps test bench

clean:
	rm -rf target .venv
