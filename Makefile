# Almanac. `make` alone says what there is. Needs Go, Make and Git.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

BIN := $(CURDIR)/.build/bin
PROGRAMS := producer archiver compactor restorer
MAINS := $(foreach p,$(PROGRAMS),./$(p)/cmd/almanac-$(p)) ./cosmosfake/cmd/almanac-cosmosfake

# Linters, by pinned version, built outside of both modules.
TOOLS := $(CURDIR)/.tools/bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOFUMPT := mvdan.cc/gofumpt@v0.9.2
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.0
tool = $(TOOLS)/$(notdir $(1))

# Arguments for `go test`, `go run ./tests/demo` and the mutants: make test ARGS=-race
ARGS :=

.PHONY: help
help: ## say what there is (the default)
	@echo "Almanac keeps the history of Cosmos DB containers and gives back any moment of it."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the five programs into .build/bin
	@mkdir -p $(BIN)
	GOWORK=off go build -trimpath -o $(BIN)/ $(MAINS)

.PHONY: demo
demo: build ## lose a shop's documents and get them back, in a minute; ARGS=-seed=7
	go run ./tests/demo $(ARGS)

.PHONY: dev
dev: build ## start the same stack, print its addresses and leave it running; REAL=1: on Apache Kafka and Azurite
	$(if $(REAL),deploy/dev/install kafka azurite)
	go build -o $(BIN)/demo ./tests/demo
	$(BIN)/demo -dev $(if $(REAL),-real) $(ARGS) # not by go run, which calls Ctrl-C a failure

# The tests of ./tests build and run the programs, of which go's cache of results knows nothing: -count=1.
.PHONY: test
test: ## run all tests of both modules, whatever the first finds
	@code=0; set -x; \
	  go test -timeout 10m $(ARGS) ./... || code=1; \
	  go test -count=1 -timeout 15m $(ARGS) ./tests/... || code=1; \
	  { set +x; } 2>/dev/null; exit $$code

.PHONY: test-real
test-real: ## test on Kafka, Azurite, other people's readers and clients (needs Java 17, Node 20, Python 3.11; installs the rest)
	deploy/dev/install
	go test -count=1 -timeout 40m ./tests/real -real -v $(ARGS)
	go test -count=1 -timeout 20m ./tests/emulator -real -v $(ARGS)

.PHONY: mutants
mutants: ## take the guards out one by one; each must be noticed by its test
	go test -count=1 -timeout 15m ./tests/mutants -mutants -v $(ARGS)

.PHONY: bench
bench: ## measure rates and memory beside the obvious loop
	go test -run '^$$' -bench . -benchmem -timeout 20m $(ARGS) ./tests/bench/... ./tests/e2e/restorer ./cosmosfake

.PHONY: check
check: lint ## lint, the architecture, and the modules' sums and tidiness
	go test -count=1 ./tests/arch
	GOWORK=off go mod verify
	GOWORK=off go mod tidy -diff
	cd tests && GOWORK=off go mod tidy -diff

.PHONY: lint
lint: $(call tool,$(GOFUMPT)) $(call tool,$(STATICCHECK)) $(call tool,$(GOLANGCI)) ## format, vet and linters
	@echo gofumpt; unformatted=$$($(call tool,$(GOFUMPT)) -l .); \
	  if [ -n "$$unformatted" ]; then echo "not formatted; run" .tools/bin/$(notdir $(GOFUMPT)) -w $$unformatted >&2; exit 1; fi
	go vet ./... ./tests/...
	$(call tool,$(STATICCHECK)) ./... ./tests/...
	GOLANGCI_LINT_CACHE=$(TOOLS)/cache $(call tool,$(GOLANGCI)) run ./... ./tests/... # the shared cache knows files of other checkouts

.PHONY: clean
clean: ## remove what was built and what ran (.tools stays)
	rm -rf .build .demo

# A linter's file carries its version, so a new version is a new file.
$(TOOLS)/%:
	@mkdir -p $(TOOLS)
	cd $(TOOLS) && GOWORK=off GOBIN=$(TOOLS)/.new/$* go install $(filter %/$*,$(STATICCHECK) $(GOFUMPT) $(GOLANGCI))
	@mv $(TOOLS)/.new/$*/* $@
