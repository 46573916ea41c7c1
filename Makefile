# Nothing to install by hand: a target that needs the virtual environment makes it, and makes it again when the requirements change.
# PYTHON=python3.12 picks another Python, VENV=folder another place for the environment.
# PY=python3 uses the environment of that Python as it is.

PYTHON ?= python3
VENV ?= .venv
INSTALLED := $(VENV)/.installed
ifndef PY
PY := $(VENV)/bin/python
READY := $(INSTALLED)
endif

.PHONY: help install demo test faults lint docs audit benchmark gpu

help:
	@echo 'make install  make .venv and install into it'
	@echo 'make demo   draw animals, train both stages, test and re-rank: a table and a picture in a minute, no data needed'
	@echo 'make test   run the tests; COVERAGE=1 prints which share of the code they run'
	@echo 'make faults kill, fill, cut and fuzz it on purpose: a quarter of an hour; the disk and network parts need root on Linux'
	@echo 'make lint   check style, format and types'
	@echo 'make docs   build the documents as a site: site/html/index.html'
	@echo 'make audit  ask PyPI for known holes in the installed libraries (network)'
	@echo 'make benchmark   time every shortcut against its plain formulation: a table in a quarter of an hour; ARGS=--quick in two minutes'
	@echo 'make gpu    check and time the program on a CUDA GPU: a table in six minutes; without a GPU only the tests that need none'

install: $(READY)

demo: $(READY)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(PY) -m tools.demo

test: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal $(if $(COVERAGE),--cov --cov-report=term) $(ARGS)

faults: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/faults

# Strict: a library that PyPI does not answer for is not one without holes.
audit: $(READY)
	$(PY) -m pip install --quiet 'pip-audit>=2.7'
	$(PY) -m pip_audit --local --strict --progress-spinner off

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# The site has the files where they are in the project, so that links between them hold in both places.
docs: $(READY)
	$(PY) -m pip install --quiet -r requirements-docs.txt
	rm -rf site
	mkdir -p site/pages
	cp -R README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md LICENSE docs site/pages
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo 'open site/html/index.html'

benchmark: $(READY)
	$(PY) -m benchmarks $(ARGS)

gpu: $(READY)
	$(PY) -m benchmarks.gpu $(ARGS)

# The stamp comes last: an installation that was broken off is taken up again by the next `make`.
$(INSTALLED): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@echo 'installing into $(VENV): this takes minutes; PyTorch for Linux brings CUDA along, 6 GB on disk'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -r requirements.txt -r requirements-dev.txt
	@touch $@
