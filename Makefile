# pgvigil. `make` alone says what there is.
.DEFAULT_GOAL := help
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

help: ## show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

deps: ## install PostgreSQL and etcd from Debian or Ubuntu, only what is missing
	@.ci/deps

build: ## build bin/pgvigil
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/pgvigil ./cmd/pgvigil

demo: deps build ## three servers, three sidecars, three disasters, about a minute
	bin/pgvigil demo

test: deps build ## every test, the end-to-end ones on real PostgreSQL and etcd included
	go test -timeout 30m ./...

race: deps build ## the tests but the end-to-end ones, with the race detector
	go test -race -timeout 30m $$(go list ./... | grep -v /test/e2e)

e2e: deps build ## the end-to-end tests alone, told as they go
	go test -v -count=1 -timeout 30m ./test/e2e/...

e2e-versions: deps build ## failover on every major in PGVIGIL_TEST_BINDIRS (default: those installed)
	go test -v -count=1 -timeout 60m -run '^TestEveryMajor$$' ./test/e2e

e2e-hundred: deps build ## ROUNDS (100) switchovers in a row under write load, and the median of their gaps
	PGVIGIL_TEST_SWITCHOVERS=$(or $(ROUNDS),100) go test -v -count=1 -timeout 90m -run '^TestSwitchoversInARow$$' ./test/e2e

sim: ## simulated clusters: SEEDS=n (20000) from FROM=n (1), or SEED=n told event by event, shrunk when it fails
	SEEDS=$(or $(SEEDS),20000) FROM=$(or $(FROM),1) SEED=$(SEED) go test -count=1 -v -timeout 60m -run '^(TestSeeds|TestOneSeed)$$' ./test/simulation

model: ## the exhaustive model with its largest bounds, some minutes
	MODEL=full go test -count=1 -v -timeout 60m ./test/model

bench: deps build ## what an idle sidecar costs, the gap after a crash of the postmaster, and that of an upgrade
	go run ./test/bench

cover: ## coverage of the decision core
	go test -cover ./watchdog

fuzz: ## every fuzz test, FUZZTIME each (30s)
	@set -e; for dir in $$(grep -rlE '^func Fuzz' --include=*_test.go . | xargs -r -n 1 dirname | sort -u); do \
	  for name in $$(go test -list '^Fuzz' $$dir | grep '^Fuzz'); do \
	    echo "$$dir $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(or $(FUZZTIME),30s) $$dir; \
	  done; \
	done

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt'ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go tool staticcheck ./...

# The faults that ci injects end to end; `make test` has them all.
CI_FAULTS := PostmasterKilled|PostmasterStopped|ImmediateShutdownByHand|SidecarKilledAndBackInTime|SidecarKilledForGood|EtcdQuorumLost|StandbyKilledDisturbsNobody|BackendKilledByTheKernel|DivergedPrimaryIsRewound

ci: deps lint build ## what must be green before anything lands: every test, end to end the commonest faults
	go test -timeout 30m $$(go list ./... | grep -v /test/e2e)
	go test -timeout 30m ./test/e2e -run '^Test($(CI_FAULTS))$$'

.PHONY: help deps build demo test race sim model e2e e2e-versions e2e-hundred bench cover fuzz lint ci
