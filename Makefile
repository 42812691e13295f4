# The commands people use. Each test step is also `.ci/run STEP`; `scripts/steps` is where steps are written.
.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-calls bench-lookup bench-http install-deps install-bench-deps clean

help:
	@echo "make demo          the main job on this machine: buy a number, bind it, call it (ARGS=--once to stop after it)"
	@echo "make test          installs what the tests need, then runs all of them"
	@echo "make bench         the figures of docs/PERFORMANCE.md"
	@echo "make install-deps  only the installation (make install-bench-deps for the benchmarks)"
	@echo "one test step:     .ci/run STEP, where STEP is one of: $$(scripts/steps --list)"

demo:
	cargo run --release --bin trunkline -- demo $(ARGS)

test:
	@scripts/steps

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
