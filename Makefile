# In a fresh clone you need Python 3.11 and make. `make test` installs everything else into .venv and .tox.
PYTHON ?= python3.11

# For `make image`: the name of the image, its base if not the one in Dockerfile, and ARGS for docker build.
IMAGE ?= registry-swift
BASE ?=

# For `make chaos` and `make fuzz`. Without a SEED they choose one, and name it.
SECONDS ?= 120
SEED ?=

# For `make bench`: QUICK=1 for one short round, and ARGS as benchmarks/README.rst says.
QUICK ?=

# For `make fuzz`: the name of a target, or all.
TARGET ?= all

.PHONY: help run image test lint format docs constraints bench chaos fuzz clean

help:
	@echo 'make run            start a registry on 127.0.0.1:5000, with a Swift of its own or the one that OS_* variables name'
	@echo 'make image          build the container image: IMAGE=registry-swift, BASE=python:3.13-slim'
	@echo 'make test           run all tests, with all Pythons and servers on this machine'
	@echo 'make test ENVS=py27 run some environments of tox.ini (space-separated)'
	@echo 'make bench          compare the driver with 0.2.1, and the registry with CNCF distribution, on a real Swift: QUICK=1'
	@echo 'make chaos          kill registries and servers of a Swift for a while, and check that nothing is lost: SECONDS=120, SEED=1'
	@echo 'make fuzz           give every parser inputs that chance makes, for a while each: TARGET=all, SECONDS=120, SEED=1'
	@echo 'make lint           check style and types'
	@echo 'make format         format the Python 3 code, and fix what ruff can fix'
	@echo 'make constraints    renew deploy/constraints.txt, the exact versions that the tests and the image install'
	@echo 'make docs           build the documentation into build/docs'
	@echo 'make clean          remove everything that these commands made, except the images of make run in ./swift-data'

.venv/made: Makefile
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check 'tox>=4.5,<5' 'uv>=0.13,<1' 'virtualenv<20.22' 'setuptools>=65' wheel
	touch $@

test: .venv/made
	.venv/bin/python tools/run_tests.py $(ENVS)

lint: .venv/made
	.venv/bin/tox run -e lint

format: .venv/made
	.venv/bin/tox run -e lint --notest
	.tox/lint/bin/ruff check --fix
	.tox/lint/bin/ruff format

docs: .venv/made
	.venv/bin/tox run -e docs
	@echo 'The documentation is in build/docs/index.html'

# The newest versions that setup.py allows, for every Python that it allows. CI and the image install these.
constraints: .venv/made
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --extra registry --no-annotate \
		--custom-compile-command 'make constraints' --output-file deploy/constraints.txt setup.py

run:
	@exec $(PYTHON) tools/run_registry.py $(ARGS)

image:
	docker build --tag $(IMAGE) $(if $(BASE),--build-arg BASE=$(BASE)) $(ARGS) .

bench:
	$(PYTHON) benchmarks $(if $(QUICK),--quick) $(ARGS)

chaos: .venv/made
	.venv/bin/tox run -e swift --notest
	.venv/bin/tox run -e chaos -- --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: .venv/made
	.venv/bin/tox run -e fuzz --notest
	.tox/fuzz/bin/python tests/fuzz $(TARGET) --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf .venv .venv-run .tox .bench .mypy_cache .ruff_cache build dist *.egg-info
