# everup: build, run, test. `make help` lists the targets.
SHELL      := /bin/bash
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS    := -s -w -X github.com/everup/everup/shared/buildinfo.version=$(VERSION)
GOFLAGS_   := -trimpath -ldflags '$(LDFLAGS)'
DAEMONS    := lbd dnsd cached storaged logd
BINARIES   := $(addprefix bin/,$(DAEMONS)) bin/everup bin/everup-demo
export CGO_ENABLED ?= 0

.PHONY: help build up test unit deps lint fuzz bench-fleet bench-cached bench-vip bench-l7 clean $(BINARIES)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

build: $(BINARIES) ## build the daemons and the everup command into bin/

$(addprefix bin/,$(DAEMONS)): bin/%:
	@go build $(GOFLAGS_) -o $@ ./services/$*/cmd/$*

bin/everup bin/everup-demo: bin/%:
	@go build $(GOFLAGS_) -o $@ ./deploy/cmd/$*

up: build ## build everything and run the whole suite on loopback before a demo site, until Ctrl-C
	@bin/everup up

deps: ## install what the tests need from Debian (as root; without root it only says what is missing)
	@deploy/scripts/deps

test: deps build lint ## all tests of all modules, with the race detector; skips are named and counted
	@race=-race cgo=1; command -v gcc >/dev/null || { race= cgo=0; echo "test: without the race detector, which needs gcc" >&2; }; \
		EVERUP_BIN=$(CURDIR)/bin CGO_ENABLED=$$cgo go run ./deploy/cmd/everup-test $$race -timeout 12m work

unit: ## the tests that need neither root nor Debian programs, without the race detector
	@go test -short work

lint: ## gofmt, go vet, and that every module builds alone
	@deploy/scripts/lint

fuzz: bin/cached ## run each fuzz target for FUZZTIME (default 20s)
	@deploy/scripts/fuzz $(or $(FUZZTIME),20s)

bench-fleet: build ## the figures of BARS "fleet": detection, healing, bus take-over, footprint at rest
	@deploy/scripts/bench-fleet

bench-cached: bin/cached ## the figures of BARS "cached", beside memcached
	@deploy/scripts/bench-cached

bench-vip: ## the figures of BARS "vip", beside keepalived
	@deploy/scripts/bench-vip

bench-l7: bin/lbd ## the figures of BARS "lbd" about layer 7, beside HAProxy and nginx
	@deploy/scripts/bench-l7

clean: ## remove what was built and the demo's state
	rm -rf bin .everup dist
