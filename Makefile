# On a fresh Debian 12 or newer with git, make and a Swift 6.3 toolchain: `make demo`, `make test`.
#
# PGHA_SCRATCH=DIR   builds there instead of in .build; several clones may share it, one at a time
# ARGS="..."         goes to `pgha demo`, `swift test` or `pgha-bench`

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

scratch := $(or $(PGHA_SCRATCH),.build)
swift_flags := $(if $(PGHA_SCRATCH),--scratch-path "$(PGHA_SCRATCH)")
# Hosts can be cut off only where nothing else is on the network.
own_network := $(if $(filter 0,$(shell id -u)),unshare --net sh -c 'ip link set lo up && exec "$$0" "$$@"')
sources := Sources Tests sql Package.swift

.PHONY: build
build: packages ## Build everything for debugging, tests included
	@swift build --build-tests $(swift_flags)

.PHONY: test
test: build ## Run all tests, one after the other: whole clusters and deadlines do not share two cores well
	@swift test --skip-build --no-parallel $(swift_flags) $(ARGS)

.PHONY: test-versions
test-versions: build ## Run the tests that need servers on PostgreSQL 16 and 18 too
	@.ci/test-versions $(swift_flags)

.PHONY: test-drivers
test-drivers: build ## Drivers through the pooler, and PgBouncer's exporter: ARGS="--only pgjdbc"
	@python3 Tests/Drivers/drivers.py $(ARGS)

.PHONY: test-psycopg
test-psycopg: build ## psycopg's own tests through the pooler: PSYCOPG_TESTS=/path/to/a/clone/of/its/repository
	@python3 Tests/Drivers/psycopg_suite.py $(ARGS)

.PHONY: demo
demo: build ## Run a cluster of three servers on this machine: ARGS="--nodes 2 --base-port 25432"
	@exec "$(scratch)/debug/pgha" demo $(ARGS)

release bench-failover bench-pooler: export PGHA_SOURCE := $(shell git describe --tags --match 'v[0-9]*' --always --dirty 2>/dev/null)

.PHONY: release
release: packages ## Build the executable for use: $(scratch)/pgha, needs libpq5, libsqlite3-0 and zlib1g
	@swift build -c release --static-swift-stdlib --product pgha $(swift_flags)
	@strip -o "$(scratch)/pgha" "$(scratch)/release/pgha"
	@ls -lh "$(scratch)/pgha"

.PHONY: deb
deb: release ## Make a Debian package of the release build: $(scratch)/deb/pgha_VERSION_ARCHITECTURE.deb
	@deploy/debian/build "$(scratch)/pgha" "$(scratch)/deb"

# PGHA_EXECUTABLE=FILE takes that executable in place of one that is built within the image's first stages.
.PHONY: image
image: ## Build the images pgha and pgha-postgres with docker or podman: ENGINE=podman ARGS="--build-arg POSTGRES=17"
	@deploy/image $(ARGS)

.PHONY: image-test
image-test: $(if $(PGHA_EXECUTABLE),,release) ## Build the images, run the compose file, kill the primary's container: as root, with podman
	@deploy/image-test "$(scratch)"

.PHONY: docs
docs: ## Build the documentation as a site in $(scratch)/docs
	@.ci/docs "$(scratch)"

.PHONY: page-test
page-test: build ## Look at the status page in chromium while a leader is killed; pictures go to $(scratch)/page
	@node --experimental-websocket Tests/Page/page-test.mjs "$(scratch)/debug/pgha" "$(scratch)/page"

.PHONY: alerts-test
alerts-test: ## Run the alerts' tests with Debian's promtool
	@deploy/prometheus/test "$(scratch)"

.PHONY: bench-failover
bench-failover: release ## Measure failover and switchover with the release build
	@swift build -c release --static-swift-stdlib --product pgha-bench $(swift_flags)
	@export PGHA_EXECUTABLE="$$(realpath "$(scratch)/pgha")"; $(own_network) "$(scratch)/release/pgha-bench" $(ARGS)

.PHONY: bench-pooler
bench-pooler: release ## Measure the pooler beside Debian's PgBouncer, HAProxy and pgpool: ARGS="--parts cpu,idle"
	@PGHA_EXECUTABLE="$$(realpath "$(scratch)/pgha")" python3 Tests/Benchmarks/PoolerBench/bench.py $(ARGS)

.PHONY: soak
soak: build ## Let clients and servers of a pooled cluster die at random and look for what is lost or kept: MINUTES=30
	@PGHA_SOAK_MINUTES=$(or $(MINUTES),30) swift test --skip-build --filter SoakTests $(swift_flags) $(ARGS)

.PHONY: bench-split
bench-split: packages ## Measure what telling reads from writes costs for each statement
	@swift build -c release --static-swift-stdlib --product split-bench $(swift_flags)
	@"$(scratch)/release/split-bench"

.PHONY: fuzz-wire
fuzz-wire: packages ## Feed random bytes to everything that reads what strangers send: FUZZ_SECONDS=600
	@mkdir -p "$(scratch)/fuzz/wire-corpus"
	@swiftc -O -sanitize=fuzzer,address -parse-as-library -swift-version 6 -package-name pgha -module-name WireFuzz \
		-enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility \
		-enable-upcoming-feature InternalImportsByDefault -I Sources/COpenSSL \
		$$(find Sources/PGHAWire -name '*.swift') Tests/Fuzz/WireFuzz.swift -o "$(scratch)/fuzz/wire"
	@SWIFT_BACKTRACE=enable=no nice "$(scratch)/fuzz/wire" "$(scratch)/fuzz/wire-corpus" Tests/Fuzz/WireCorpus \
		-artifact_prefix="$(scratch)/fuzz/" -max_len=2048 -max_total_time=$(or $(FUZZ_SECONDS),600) \
		-print_final_stats=1 $(ARGS)

.PHONY: simulate
simulate: release ## Simulate whole clusters with the release build: SEEDS=100000 ARGS="--keep DIR"
	@"$(scratch)/pgha" simulate --seeds $(or $(SEEDS),1000) $(ARGS)

.PHONY: faults
faults: build ## Real faults on whole clusters, as root: FILTER=NetworkTests
	@export PGHA_FAULTS=1 PGHA_FAULT_LOGS="$(abspath $(scratch))/faults"; $(own_network) \
		swift test --skip-build --no-parallel --filter "FaultTests.*($(FILTER))" $(swift_flags) $(ARGS)

.PHONY: chaos
chaos: build ## Random real faults under load and a checker, as root: MINUTES=30 SEED=1
	@$(own_network) "$(scratch)/debug/pgha-chaos" --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1) \
		--output "$(scratch)/chaos" $(ARGS)

.PHONY: format
format: toolchain ## Format the sources in place
	@swift format --in-place --recursive --parallel $(sources)

.PHONY: lint
lint: toolchain ## Say what `make format` would change, and other findings
	@swift format lint --strict --recursive --parallel $(sources)

.PHONY: clean
clean: ## Remove .build; a PGHA_SCRATCH is left alone
	@rm -rf .build

.PHONY: packages
packages: toolchain
	@.ci/packages

.PHONY: toolchain
toolchain:
	@.ci/toolchain

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) \
		| while read -r target words; do printf '%-16s %s\n' "$$target" "$$words"; done
