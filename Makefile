# Bulkhead. The two commands: `make demo` and `make test`. `make help` lists the others.
SHELL := /bin/bash
PY := build/venv/bin/python
export MODEL DEMO_PORT WALKTHROUGH

.PHONY: help setup build demo test check format tidy bench proofs faults providers corpus fuzz test-asan test-tsan unit clean
help:
	@echo "make demo       set up, build, load three tenants, walk through, keep serving"
	@echo "                (WALKTHROUGH=1: exit afterwards; DEMO_PORT=8443; MODEL=/path/to.gguf)"
	@echo "make test       set up, build, run every test"
	@echo "make check      format, layering, docs and unit tests, for the inner loop"
	@echo "make test-asan  every test under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make test-tsan  every test under ThreadSanitizer"
	@echo "make fuzz       run the fuzz targets' corpora, then fuzz for a minute each"
	@echo "make proofs     the engine's timing, order, residue and soak experiments at full length"
	@echo "make faults     a thousand seeded disk faults in the middle of a tenant's life, and as many kills in the"
	@echo "                middle of backups, restores and moves, and crashes of the database (FAULT_RUNS, FAULT_SEED)"
	@echo "make providers  real Keycloak and oidc-provider, fetched and started on loopback, against the gateway"
	@echo "make corpus     public documents through the extractor beside independent readers (docs/corpus.md)"
	@echo "make bench      every figure of the README beside its peer's"
	@echo "make setup      packages, llama.cpp, test models, Python environment; nothing when all is there"
	@echo "make build      build/bulkhead, build/bulkhead-engine, build/bulkhead-extract"
	@echo "make unit       the unit tests of the last build"
	@echo "make format     lays every C++ file out as .clang-format says"
	@echo "make tidy       clang-tidy's warnings over src/"
	@echo "make clean      removes what was built here; keeps llama.cpp, models and downloads"

setup:
	@bash scripts/setup.sh test
build:
	@bash scripts/build.sh release
demo:
	@bash scripts/setup.sh demo
	@bash scripts/build.sh release programs
	@$(PY) demo/run.py
test:
	@bash scripts/setup.sh test
	@bash scripts/build.sh release
	@bash scripts/check/format.sh
	@python3 scripts/check/layering_test.py
	@python3 scripts/check/layering.py
	@python3 scripts/check/untimed_tests_test.py
	@python3 scripts/check/untimed_tests.py
	@python3 tests/docs/check_docs_test.py
	@python3 tests/docs/check_docs.py
	@bash scripts/unit.sh release
	@$(PY) -m pytest -q tests/acceptance
unit:
	@bash scripts/unit.sh release
check:
	@bash scripts/setup.sh test
	@bash scripts/check/format.sh
	@python3 scripts/check/layering.py
	@python3 scripts/check/untimed_tests.py
	@python3 tests/docs/check_docs.py
	@bash scripts/build.sh release
	@bash scripts/unit.sh release
format:
	@bash scripts/check/format.sh --fix
tidy: build
	@bash scripts/setup/packages.sh dev
	@run-clang-tidy-19 -quiet -p build/release "$(CURDIR)/src/.*\.cc"
test-asan: setup
	@bash scripts/build.sh asan
	@bash scripts/unit.sh asan
	@bash scripts/check/sanitizers/acceptance.sh asan
test-tsan: setup
	@bash scripts/build.sh tsan
	@bash scripts/unit.sh tsan
	@bash scripts/check/sanitizers/acceptance.sh tsan
fuzz: setup
	@bash scripts/build.sh fuzz
	@bash scripts/fuzz.sh
proofs: build
	@PROOF_N=5000 SOAK_ROUNDS=200 build/release/src/inference/test_inference --gtest_filter='*Proof*'
faults: build
	@FAULT_RUNS=$${FAULT_RUNS:-350} build/release/test_storage --gtest_filter='*Faults*'
	@FAULT_RUNS=$${FAULT_RUNS:-1000} FAULT_SEED=$${FAULT_SEED:-1} $(PY) -m pytest -q -k "kill or crash" tests/acceptance/test_backup.py tests/acceptance/test_migrate.py tests/acceptance/test_database_faults.py
providers: build
	@bash scripts/setup/providers.sh
	@$(PY) -m pytest -q tests/acceptance/providers/check_keycloak.py tests/acceptance/providers/check_oidc_provider.py
corpus: build
	@bash scripts/corpus.sh
bench:
	@bash scripts/setup.sh bench
	@bash scripts/build.sh release
	@bash bench/run.sh
clean:
	rm -rf build/release build/asan build/tsan build/fuzz build/demo build/bulkhead build/bulkhead-engine build/bulkhead-extract
