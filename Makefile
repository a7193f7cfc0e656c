.DEFAULT_GOAL := help
.PHONY: help run test build build-licenser release module bench bench-trail lint lint-go lint-template ci clean
.PHONY: test-aws test-clients test-client-go test-client-typescript test-client-java test-clients-generated test-browser sam-local sam-local-test sam-build-here awslocal
.PHONY: build-VerifyFunction build-IssueFunction build-AuditFunction build-IndexFunction build-CheckpointFunction build-RotateFunction

# The processor of the Lambda functions: arm64, or amd64. sam build sets it from the template's Architecture.
LAMBDA_GOARCH ?= arm64
PYTHON ?= python3

# What a binary holds depends on the sources and the version of Go only: not on this machine, its folders or the time.
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false
BUILD_LAMBDA = GOOS=linux GOARCH=$(LAMBDA_GOARCH) $(GO_BUILD) -tags lambda.norpc -ldflags='-s -w -buildid='

STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.7.0
VENV := .tools/venv
CHECKOV := .tools/checkov
SAM := SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam

# The binaries for this machine have a folder of their own: sam deploy would take them for those that it deploys.
HERE := .aws-sam/here
HERE_ARCHITECTURE = $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
AWSLOCAL := .tools/awslocal
SAM_LOCAL = SAM='$(CURDIR)/$(VENV)/bin/sam' ARCHITECTURE=$(HERE_ARCHITECTURE) BUILD='$(HERE)' $(AWSLOCAL) sam-local
DYNAMODB := .tools/dynamodb-local
CLIENTS := .tools/clients
TYPESCRIPT := .tools/typescript
AXE := .tools/axe
# A test that is skipped for want of a browser or of axe-core is what `make test` does; here the browser must be there.
BROWSER = $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

run: ## build and start the service on http://127.0.0.1:3000; ARGS="--listen ... --data ..." changes where
	@$(GO_BUILD) -ldflags='-buildid=' -o bin/licenser ./cmd/licenser
	@exec bin/licenser serve $(ARGS)

# The race detector needs cgo, a C compiler and a platform that has it; whether runtime/cgo builds tells all three. Tests in
# a browser have a target of their own, test-browser. Tests wait now and then, so one package more than there are processors
# is tested at once.
test: ## all tests that need no AWS
	@if go build -race runtime/cgo 2>/dev/null; then race=-race; \
	else echo 'make test: no C compiler for cgo on this machine, so without the race detector'; fi; \
	packages=$$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1) + 1)); \
	echo go test $$race ./...; LICENSER_TEST_BROWSER=none go test $$race -p $$packages ./... && \
	echo go -C client test $$race ./... && go -C client test $$race ./...

# First the template, as CloudFormation resolves it. Then all packages whose tests use shared/testing/awstest. A test
# that is skipped here for want of AWS is a failure.
test-aws: awslocal sam-build-here ## the tests against DynamoDB Local, moto, and the binaries of sam build; needs Java, Maven and Python
	$(VENV)/bin/python .ci/resolved_test.py
	$(VENV)/bin/python .ci/resolved.py
	$(VENV)/bin/python .ci/upgrade_test.py
	$(VENV)/bin/python .ci/upgrade.py
	LICENSER_TEST_PYTHON='$(CURDIR)/$(VENV)/bin/python' go test -count=1 -run '^TestEvidenceInPython$$' ./cmd/licenser
	LICENSER_TEST_BUILD='$(CURDIR)/$(HERE)' $(AWSLOCAL) run \
	  go test -count=1 $$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | sed -n '/shared\/testing\/awstest[] ]/s/ .*//p')

test-clients: test-client-go test-client-typescript test-client-java test-clients-generated ## the clients of products, and some generated from openapi.yaml, on the local server; needs Node, a JDK, Maven and Python
test-client-go:
	go -C client test -count=1 ./...
test-client-typescript: $(TYPESCRIPT)/installed
	cd clients/typescript && LICENSER_TEST_BROWSER='$(BROWSER)' npm test
test-client-java:
	@javac -version >/dev/null 2>&1 || \
	{ echo 'The Java client needs a JDK, 17 or later (on Debian and Ubuntu the package default-jdk-headless).'; exit 1; }
	@mvn --version >/dev/null 2>&1 || \
	{ echo 'To build the Java client takes Maven (on Debian and Ubuntu the package maven).'; exit 1; }
	mvn --quiet --batch-mode --file clients/java/pom.xml -Dmaven.test.redirectTestOutputToFile=true verify
# A test that is skipped for want of the generators is what `make test` does; here nothing may be missing.
test-clients-generated: $(VENV)/installed $(CLIENTS)/installed
	LICENSER_TEST_CLIENTS='$(CURDIR)/.tools' go test -count=1 -v -run '^TestGeneratedClients$$' ./cmd/licenser

# All packages whose tests use shared/testing/browsertest.
test-browser: $(if $(shell command -v npm),$(AXE)/installed) ## the pages for customers and for staff in a real browser; needs Chromium or Chrome, and npm for axe-core
	@test -n '$(BROWSER)' || { echo 'No Chromium or Chrome in PATH (on Debian and Ubuntu the package chromium).'; exit 1; }
	@test -e $(AXE)/installed || echo 'make test-browser: no npm on this machine, so without axe-core'
	LICENSER_TEST_BROWSER='$(BROWSER)' LICENSER_TEST_AXE=$(wildcard $(AXE)/installed) \
	  go test -count=1 $$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | sed -n '/shared\/testing\/browsertest[] ]/s/ .*//p')

sam-local: awslocal sam-build-here ## the API by sam local start-api, with stand-ins for AWS; needs Docker as well
	@$(SAM_LOCAL)
sam-local-test: awslocal sam-build-here ## drive the whole life of a license over sam local start-api
	@LICENSER_TEST_BUILD='$(CURDIR)/$(HERE)' $(SAM_LOCAL) go test -count=1 -v -run '^TestSAMLocal$$' ./functions

# The flags of BUILD_LAMBDA, for this machine.
bench: ## measure verifications against the least that they can be, and the local server against RSA
	$(GO_BUILD) -tags lambda.norpc -ldflags='-s -w -buildid=' -o bin/bench/verify ./functions/verify
	$(GO_BUILD) -tags lambda.norpc -ldflags='-s -w -buildid=' -o bin/bench/floor ./cmd/bench/floor
	$(GO_BUILD) -ldflags='-buildid=' -o bin/bench/licenser ./cmd/licenser
	$(GO_BUILD) -ldflags='-buildid=' -o bin/bench/bench ./cmd/bench
	@bin/bench/bench $(ARGS)

bench-trail: ## measure checkpoints, proofs and verification of audit trails of up to a million licenses
	$(GO_BUILD) -ldflags='-buildid=' -o bin/bench/licenser ./cmd/licenser
	$(GO_BUILD) -ldflags='-buildid=' -o bin/bench/trail ./cmd/bench/trail
	@bin/bench/trail $(ARGS)

build: ## all binaries, reproducibly: bin/lambda/*/bootstrap and bin/licenser
	$(BUILD_LAMBDA) -o bin/lambda/verify/bootstrap ./functions/verify
	$(BUILD_LAMBDA) -o bin/lambda/issue/bootstrap ./functions/issue
	$(BUILD_LAMBDA) -o bin/lambda/audit/bootstrap ./functions/audit
	$(BUILD_LAMBDA) -o bin/lambda/index/bootstrap ./functions/index
	$(BUILD_LAMBDA) -o bin/lambda/checkpoint/bootstrap ./functions/checkpoint
	$(BUILD_LAMBDA) -o bin/lambda/rotate/bootstrap ./functions/rotate
	$(MAKE) --no-print-directory build-licenser LICENSER=bin/licenser

# GOOS and GOARCH say for which system.
build-licenser:
	$(GO_BUILD) -ldflags='-s -w -buildid=' -o '$(LICENSER)' ./cmd/licenser

release: ## what a release offers for download, in dist/: the command line, the packaged template, an SBOM, checksums
	go run ./cmd/release

# sam build asks for these by the functions' names in the template.
build-VerifyFunction:
	$(BUILD_LAMBDA) -o '$(ARTIFACTS_DIR)/bootstrap' ./functions/verify
build-IssueFunction:
	$(BUILD_LAMBDA) -o '$(ARTIFACTS_DIR)/bootstrap' ./functions/issue
build-AuditFunction:
	$(BUILD_LAMBDA) -o '$(ARTIFACTS_DIR)/bootstrap' ./functions/audit
build-IndexFunction:
	$(BUILD_LAMBDA) -o '$(ARTIFACTS_DIR)/bootstrap' ./functions/index
build-CheckpointFunction:
	$(BUILD_LAMBDA) -o '$(ARTIFACTS_DIR)/bootstrap' ./functions/checkpoint
build-RotateFunction:
	$(BUILD_LAMBDA) -o '$(ARTIFACTS_DIR)/bootstrap' ./functions/rotate

lint: lint-go lint-template ## gofmt, go vet, staticcheck, 120 columns, cfn-lint, sam validate, openapi-spec-validator, checkov, what gets deployed

# The Go client is a module of its own.
lint-go:
	@unformatted=$$(gofmt -l $$(go list -f '{{.Dir}}' ./...; go -C client list -f '{{.Dir}}' ./...) | sort -u); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go -C client vet ./...
	$(STATICCHECK) ./...
	cd client && $(STATICCHECK) ./...
	@.ci/columns ./...
	@cd client && ../.ci/columns ./...

lint-template: $(VENV)/installed $(CHECKOV)/installed
	$(VENV)/bin/cfn-lint --include-checks I --template template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint --template template.yaml
	$(VENV)/bin/openapi-spec-validator openapi.yaml
	$(CHECKOV)/bin/checkov --config-file .ci/checkov.yaml
	@$(VENV)/bin/python .ci/resources.py | diff -u .ci/resources.txt - || \
	{ echo 'What gets deployed has changed. If it should: make resources, and commit .ci/resources.txt.'; exit 1; }

.PHONY: resources
resources: $(VENV)/installed ## count what gets deployed into .ci/resources.txt, for review
	$(VENV)/bin/python .ci/resources.py >.ci/resources.txt

$(CHECKOV)/installed: .ci/requirements-checkov.txt | $(VENV)/installed
	@$(PYTHON) -m venv --clear $(CHECKOV)
	$(CHECKOV)/bin/pip install --quiet --disable-pip-version-check --requirement .ci/requirements-checkov.txt
	@touch $@

$(VENV)/installed: .ci/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	{ echo 'The SAM CLI and moto need Python 3.10 or later as $(PYTHON); PYTHON=... names another.'; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || \
	{ echo 'The SAM CLI and moto need the Python module venv (on Debian and Ubuntu the package python3-venv).'; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement .ci/requirements.txt
	@touch $@

$(DYNAMODB)/installed: .ci/dynamodb-local/pom.xml
	@java -version >/dev/null 2>&1 || \
	{ echo 'DynamoDB Local needs Java 17 or later (on Debian and Ubuntu the package default-jre-headless).'; exit 1; }
	@mvn --version >/dev/null 2>&1 || \
	{ echo 'To install DynamoDB Local takes Maven (on Debian and Ubuntu the package maven).'; exit 1; }
	@rm -rf $(DYNAMODB)
	mvn --quiet --batch-mode --file .ci/dynamodb-local/pom.xml dependency:copy-dependencies -DoutputDirectory='$(CURDIR)/$(DYNAMODB)'
	@touch $@

$(CLIENTS)/installed: .ci/clients/pom.xml
	@javac -version >/dev/null 2>&1 || \
	{ echo 'Generated Java clients need a JDK, 17 or later (on Debian and Ubuntu the package default-jdk-headless).'; exit 1; }
	@mvn --version >/dev/null 2>&1 || \
	{ echo 'To install the OpenAPI Generator takes Maven (on Debian and Ubuntu the package maven).'; exit 1; }
	@rm -rf $(CLIENTS)
	mvn --quiet --batch-mode --file .ci/clients/pom.xml dependency:copy-dependencies -DoutputDirectory='$(CURDIR)/$(CLIENTS)'
	@touch $@

# node_modules is a link to where they are installed, unless someone has run npm there.
$(TYPESCRIPT)/installed: clients/typescript/package-lock.json
	@npm --version >/dev/null 2>&1 || \
	{ echo 'The TypeScript client needs Node 20 or later with npm (on Debian and Ubuntu the packages nodejs and npm).'; exit 1; }
	@rm -rf $(TYPESCRIPT) && mkdir -p $(TYPESCRIPT) && cp clients/typescript/package*.json clients/typescript/.npmrc $(TYPESCRIPT)
	npm ci --prefix $(TYPESCRIPT) --ignore-scripts --no-audit --no-fund
	@cd clients/typescript && { [ -d node_modules ] && [ ! -L node_modules ] || ln -sfn '../../$(TYPESCRIPT)/node_modules' node_modules; }
	@touch $@

$(AXE)/installed: .ci/axe/package-lock.json
	@rm -rf $(AXE) && mkdir -p $(AXE) && cp .ci/axe/package*.json $(AXE)
	npm ci --prefix $(AXE) --ignore-scripts --no-audit --no-fund
	@touch $@

awslocal: $(VENV)/installed $(DYNAMODB)/installed
	@go build -o $(AWSLOCAL) ./cmd/awslocal

sam-build-here: $(VENV)/installed
	$(SAM) build --build-dir $(HERE) --parameter-overrides Architecture=$(HERE_ARCHITECTURE)

# Imports stand on lines of their own; no other text is touched.
module: ## rename the module, so that others can fetch it: MODULE=example.org/you/open-licenser
	@case '$(MODULE)' in *.*/*) ;; *) echo 'MODULE must be a path whose first part is a domain, as example.org/you/open-licenser.'; exit 1;; esac
	@old=$$(go list -m) && \
	find . -name '*.go' -not -path './.*' -exec sed -i.bak \
	  "s#^\(import \)\{0,1\}\([[:space:]]*\)\([A-Za-z0-9_.]* \)\{0,1\}\"$$old/\([^\"]*\"\)\$$#\1\2\3\"$(MODULE)/\4#" {} + && \
	find . -name '*.go.bak' -not -path './.*' -delete && \
	go mod edit -module '$(MODULE)' && go -C client mod edit -module '$(MODULE)/client' && \
	gofmt -w $$(go list -f '{{.Dir}}' ./...; go -C client list -f '{{.Dir}}' ./...)

ci: ## all that CI runs
	.ci/run

clean: ## remove what was built and installed here; data in .licenser/ stays
	rm -rf bin dist .aws-sam .tools .ci/__pycache__ clients/java/target clients/typescript/dist clients/typescript/dist-test
	rm -f clients/typescript/node_modules
