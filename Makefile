# `make test` in a fresh clone needs Python 3.11 and make; everything else is installed into .venv and .tox.
PYTHON ?= python3.11
TOX = .venv/bin/tox

# Of `make image`: its name, the base if not that of Dockerfile, and further ARGS of docker build.
IMAGE ?= registry-swift
BASE ?=

.PHONY: help run image test lint docs constraints bench clean

help:
	@echo 'make run            a registry on 127.0.0.1:5000 with a Swift of its own, or the one that OS_* name'
	@echo 'make image          the registry as a container image: IMAGE=registry-swift, BASE=python:3.13-slim'
	@echo 'make test           all tests, for all the Pythons and servers that are here'
	@echo 'make test ENVS=py27 some of the environments of tox.ini (space-separated)'
	@echo 'make bench          the driver beside 0.2.1, and the registry beside CNCF distribution, on a real Swift'
	@echo 'make clean          remove what these have made, but for the images of make run in ./swift-data'

.venv/made: Makefile
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check 'tox>=4.5,<5' 'uv>=0.13,<1' 'virtualenv<20.22' 'setuptools>=65' wheel
	touch $@

test: .venv/made
	.venv/bin/python tools/run_tests.py $(ENVS)

lint: .venv/made
	.venv/bin/tox run -e lint

docs: .venv/made
	.venv/bin/tox run -e docs

# The newest versions that setup.py allows, for every Python that it allows. CI and the image install these.
constraints: .venv/made
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --extra registry --no-annotate \
		--custom-compile-command 'make constraints' --output-file deploy/constraints.txt setup.py

run:
	@exec $(PYTHON) tools/run_registry.py $(ARGS)

image:
	docker build --tag $(IMAGE) $(if $(BASE),--build-arg BASE=$(BASE)) $(ARGS) .

bench:
	$(PYTHON) benchmarks/driver.py
	$(PYTHON) benchmarks/registry.py

.venv-docs/made: Makefile docs/requirements.txt
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --requirement docs/requirements.txt
	touch $@

# From scratch each time: Sphinx does not repeat the warnings of pages that it has read already.
docs: .venv-docs/made
	.venv-docs/bin/sphinx-build --quiet --fresh-env --write-all --nitpicky --fail-on-warning --keep-going -d build/doctrees docs build/docs
	@echo 'The documentation is in build/docs/index.html'

clean:
	rm -rf .venv .venv-run .venv-docs .tox .bench build dist *.egg-info
