# Every target sets up what it needs: a private .venv, uv from PyPI, the locked dependencies. `make e2e` also needs Go,
# and apt-get where no Chromium is installed.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
PB := plugin/velero_vmservice/pb
LAUNCHERS := plugin/velero_vmservice/launcher_bin
HIGHEST_PYTHON := 3.13
BUNDLE := .build/bundle
HIGHEST := .build/python-$(HIGHEST_PYTHON)
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
PROTOS := go_plugin velero_generated velero_v2 registration/v1/registration

.PHONY: help setup demo test test-highest conformance e2e e2e-full browser chromium bundle image bubblewrap qemu promtool bench journeys check format docs proto launcher clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

setup: .venv/.ready $(LAUNCHERS)/.ready ## private environment and launchers

.venv/.ready: pyproject.toml uv.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) sync --frozen --quiet
	@touch $@

$(LAUNCHERS)/.ready: $(wildcard plugin/launcher/*) .venv/.ready
	$(BIN)/python plugin/launcher/build.py
	@touch $@

launcher: $(LAUNCHERS)/.ready ## the static launcher, for amd64 and arm64

demo: setup ## an application backed up, lost and restored, on this computer alone
	$(BIN)/python -m tests.demo

test: setup ## unit, property, contract, golden and RPC tests
	$(BIN)/pytest

test-highest: setup ## unit, contract and golden tests on the image's Python, the highest supported
	UV_PROJECT_ENVIRONMENT=$(HIGHEST) $(UV) sync --frozen --quiet --no-default-groups --group test --extra vcenter \
	  --python "$$(.ci/find-python $(HIGHEST_PYTHON))"
	$(HIGHEST)/bin/pytest tests/unit tests/contract tests/golden

conformance: setup ## the registration engine in REGISTRATION_ENGINE, see docs/registration-api.md
	$(BIN)/pytest tests/conformance

e2e: browser bundle bubblewrap promtool ## the real Velero, Kubernetes API and S3 server, and the report in a browser
	$(BIN)/python -m tests.e2e.build
	$(BIN)/pytest tests/e2e

e2e-full: browser bundle image bubblewrap qemu promtool ## the same, whole on each Velero with its release's API
	$(BIN)/python -m tests.e2e.build
	$(BIN)/pytest tests/e2e --full

browser: setup chromium ## the HTML report in a headless Chromium
	$(BIN)/pytest tests/browser

# The system's own Chromium; where apt-get is not the way to it, install one and name it in the variable CHROMIUM.
chromium:
	@test -n "$$CHROMIUM" || command -v chromium || command -v chromium-browser || command -v google-chrome \
	  || { $(AS_ROOT) apt-get update -q && $(AS_ROOT) apt-get install -qy --no-install-recommends chromium; }

# On the image's Python, where this machine has it.
bundle: setup ## the self-contained plugin, as it lies in Velero's plugins volume: .build/bundle/plugins
	UV_PROJECT_ENVIRONMENT=$(BUNDLE)/environment $(UV) sync --frozen --quiet --no-default-groups --extra vcenter \
	  --no-editable --reinstall-package velero-plugin-for-vmservice \
	  --python "$$(.ci/find-python $(HIGHEST_PYTHON) || command -v $(PYTHON))"
	$(BUNDLE)/environment/bin/python plugin/bundle/build.py --into $(BUNDLE)/plugins

image: ## the container image, by buildah on a Debian that mmdebstrap makes: .build/image
	plugin/bundle/image.sh

bubblewrap: # runs programs in a root file system of their own
	@command -v bwrap || { $(AS_ROOT) apt-get update -q && $(AS_ROOT) apt-get install -qy --no-install-recommends bubblewrap; }

# Of Debian's package, unpacked here; elsewhere install Prometheus, or name its tool in the variable PROMTOOL.
promtool: # evaluates the chart's alerts as Prometheus does
	@test -n "$$PROMTOOL" || command -v promtool || test -x .build/prometheus/usr/bin/promtool \
	  || { $(AS_ROOT) apt-get update -q && mkdir -p .build/prometheus && cd .build/prometheus \
	  && apt-get download -q prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb; }

qemu: # runs the launcher for arm64
	@command -v qemu-aarch64-static || { $(AS_ROOT) apt-get update -q && $(AS_ROOT) apt-get install -qy --no-install-recommends qemu-user-static; }

bench: bundle ## speed and memory, against named peers in the same run
	$(BIN)/python -m tests.e2e.build
	$(BIN)/python -m tests.bench

journeys: setup ## how far a reader travels through the code: rooms, circles, files of a poll
	$(BIN)/python -m tests.tools.journeys

check: setup ## linter, formatter, types, layers, words, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.tools.vocabulary
	$(MAKE) --no-print-directory proto PB_OUT=.build/proto
	diff -r -x __init__.py -x __pycache__ .build/proto/velero_vmservice/pb $(PB)

docs: setup ## configuration keys and the chart's settings, from the settings' models; the table of metrics
	$(BIN)/python -m tests.tools.configuration_page
	$(BIN)/python -m tests.tools.chart_schema
	$(BIN)/python -m tests.tools.metrics_page

format: setup ## apply the formatter and the linter's fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PB_OUT ?= plugin
proto: .venv/.ready ## regenerate the gRPC code (commit the result)
	mkdir -p $(PB_OUT)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Ivelero_vmservice/pb=protos \
	  --python_out=$(PB_OUT) --grpc_python_out=$(PB_OUT) --mypy_out=quiet:$(PB_OUT) --mypy_grpc_out=quiet:$(PB_OUT) \
	  $(PROTOS:%=velero_vmservice/pb/%.proto)

clean: ## remove everything that was built
	rm -rf .venv .build $(LAUNCHERS)
