# Every target does its own set-up: tools/bootstrap installs what is missing and is silent when nothing is.
# JOBS=n limits the compilers that run at once (default: one a core).

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
DEPS := $(or $(PENSTOCK_DEPS),.deps)
CTEST := ctest --output-on-failure -j $(JOBS) --no-tests=error

.PHONY: build
build: bootstrap  ## leaves build/penstock
	@cmake --preset release --log-level=WARNING
	@cmake --build build -j $(JOBS)

.PHONY: bootstrap
bootstrap:
	@tools/bootstrap

.PHONY: demo
demo: build  ## a tour on throwaway servers
	@build/penstock demo

.PHONY: test
test: build test-unit test-integration tidy  ## unit tests, integration tests against real servers, tidy

.PHONY: test-unit
test-unit: build
	@$(CTEST) --test-dir build

.PHONY: test-integration
test-integration: build
	@$(DEPS)/venv/bin/python -m pytest tests $(PYTEST)

.PHONY: test-asan test-tsan
test-asan: SAN := asan-ubsan
test-tsan: SAN := tsan
test-asan test-tsan: bootstrap  ## unit tests under sanitizers
	@cmake --preset $(SAN) --log-level=WARNING
	@cmake --build build-$(SAN) -j $(JOBS)
	@$(CTEST) --test-dir build-$(SAN)

.PHONY: clean
clean:  ## removes what was built, keeps .deps
	rm -rf build build-* dist
