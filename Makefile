# Every target does its own set-up: tools/bootstrap installs what is missing and is silent when nothing is.
# JOBS=n limits the compilers that run at once (default: one a core).

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 300
DEPS := $(or $(PENSTOCK_DEPS),.deps)
CTEST := ctest --output-on-failure -j $(JOBS) --no-tests=error
VERSION := $(shell awk '/^project.penstock / {print $$3}' CMakeLists.txt)
PACKAGE := penstock-$(VERSION)-linux-x86_64
SOURCES := $(shell git ls-files -co --exclude-standard 'src/*.cc' 'src/*.h' 'fuzz/*.cc' 'bench/*.cc' 2>/dev/null)

.PHONY: build
build: bootstrap  ## build/penstock, as it is shipped
	@cmake --preset release -DPENSTOCK_DEPS=$(abspath $(DEPS)) --log-level=WARNING >/dev/null
	@cmake --build build -j $(JOBS) --target penstock

.PHONY: demo
demo: build  ## a tour on a throwaway PostgreSQL; leaves nothing running
	@build/penstock demo

.PHONY: test
test: test-unit test-integration  ## all tests: unit, tidy, integration against real servers

.PHONY: test-unit
test-unit: build  ## unit tests only
	@cmake --build build -j $(JOBS)
	@$(CTEST) --test-dir build

.PHONY: test-integration
test-integration: build  ## integration tests only; PYTEST='-k name' chooses
	@tools/bootstrap servers
	@cmake --build build -j $(JOBS) --target text_wire_oracle
	@$(DEPS)/venv/bin/python -m pytest tests $(PYTEST)

.PHONY: build-asan build-tsan test-asan test-tsan
build-asan test-asan: SANITIZER := asan-ubsan
build-tsan test-tsan: SANITIZER := tsan
build-asan build-tsan:
	@tools/bootstrap clang
	@cmake --preset $(SANITIZER) -DPENSTOCK_DEPS=$(abspath $(DEPS)) --log-level=WARNING >/dev/null
	@cmake --build build-$(SANITIZER) -j $(JOBS) --target unit_tests
test-asan: build-asan  ## unit tests under a sanitizer
test-tsan: build-tsan
test-asan test-tsan:
	@$(CTEST) --test-dir build-$(SANITIZER)

.PHONY: coverage
coverage: bootstrap  ## line coverage of the unit tests
	@cmake --preset coverage -DPENSTOCK_DEPS=$(abspath $(DEPS)) --log-level=WARNING >/dev/null
	@cmake --build build-coverage -j $(JOBS)
	@find build-coverage -name '*.gcda' -delete
	@$(CTEST) --test-dir build-coverage
	@$(DEPS)/venv/bin/python tools/coverage.py build-coverage

.PHONY: bench
bench: build  ## benchmarks against the peers; see bench/
	@bench/run $(BENCH)

.PHONY: fuzz
fuzz:  ## each fuzzer for FUZZ_SECONDS, from the committed corpus
	@tools/bootstrap clang
	@cmake --preset fuzz -DPENSTOCK_DEPS=$(abspath $(DEPS)) --log-level=WARNING >/dev/null
	@cmake --build build-fuzz -j $(JOBS) --target fuzzers
	@set -e; for fuzzer in build-fuzz/fuzz/*; do \
	  name=$$(basename $$fuzzer); mkdir -p build-fuzz/corpus/$$name fuzz/corpus/$$name; \
	  echo "fuzz: $$name for $(FUZZ_SECONDS) s"; \
	  $$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=build-fuzz/$$name- build-fuzz/corpus/$$name fuzz/corpus/$$name; \
	done

.PHONY: tidy
tidy: build  ## layers, names, lengths, links, generated pages
	@python3 tools/tidy.py

.PHONY: docs
docs: build  ## rewrite docs/reference from what the program says of itself
	@python3 tools/tidy.py --write

.PHONY: format format-check
format:  ## rewrite the C++ sources in the house style
	@tools/bootstrap lint
	@$(DEPS)/tools/bin/clang-format -i $(SOURCES)
format-check:  ## fail where make format would change something
	@tools/bootstrap lint
	@$(DEPS)/tools/bin/clang-format --dry-run --Werror $(SOURCES)

.PHONY: lint
lint:  ## clang-tidy over src
	@tools/bootstrap lint
	@cmake --preset lint -DPENSTOCK_DEPS=$(abspath $(DEPS)) --log-level=WARNING >/dev/null
	@printf '%s\n' $(filter src/%.cc,$(SOURCES)) | xargs -P $(JOBS) -n 4 $(DEPS)/tools/bin/clang-tidy --quiet \
	  -p build-lint --extra-arg=-Wno-unknown-warning-option

.PHONY: install
install: build  ## into PREFIX (default /usr/local), under DESTDIR if set
	@DESTDIR=$(DESTDIR) cmake --install build --strip --prefix $(abspath $(PREFIX))

.PHONY: package
package: build  ## dist/, a tarball that runs from anywhere
	@rm -rf dist/$(PACKAGE) && mkdir -p dist
	@cmake --install build --strip --prefix $(CURDIR)/dist/$(PACKAGE) >/dev/null
	@tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
	  -I 'zstd -12 -T0' -cf dist/$(PACKAGE).tar.zst $(PACKAGE)
	@rm -rf dist/$(PACKAGE)
	@cd dist && sha256sum $(PACKAGE).tar.zst >$(PACKAGE).tar.zst.sha256 && ls -l $(PACKAGE).tar.zst

.PHONY: clean
clean:  ## removes what was built, keeps .deps
	rm -rf build build-* dist

.PHONY: bootstrap
bootstrap:
	@tools/bootstrap

.PHONY: help
help:  ## this list
	@sed -nE 's/^([a-z][a-z -]*):[^#]*## (.*)/\1\t\2/p' Makefile | expand -t 24
