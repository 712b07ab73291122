.DEFAULT_GOAL := help
help: ## show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
lint: ## formatting and vet
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
test: ## the tests
	go test ./...
ci: lint test ## what must be green before anything lands
.PHONY: help lint test ci
