# Nothing to install by hand: every target that needs the virtual environment creates it, and updates it when the
# requirements change. PYTHON=python3.12 chooses another Python, VENV=folder another place for the environment.
# PY=python3 uses that Python with the libraries that it has, and installs nothing.

PYTHON ?= python3
VENV ?= .venv
INSTALLED := $(VENV)/.installed
ifndef PY
PY := $(VENV)/bin/python
READY := $(INSTALLED)
endif

.PHONY: help install demo test faults lint docs audit benchmark gpu

help:
	@echo 'make install    create .venv and install the libraries into it'
	@echo 'make demo       train, test and re-rank on drawn animals: a table and a report in a minute, without data'
	@echo 'make test       run the tests; COVERAGE=1 prints how much of the code they run'
	@echo 'make faults     kill runs, fill disks, cut connections, feed random input: a quarter of an hour;'
	@echo '                the disk and network tests need root on Linux'
	@echo 'make lint       check style, format and types'
	@echo 'make docs       build the documents as a site: site/html/index.html'
	@echo 'make audit      ask PyPI for known vulnerabilities of the installed libraries (needs the network)'
	@echo 'make benchmark  compare and time optimised code against plain code: a table in a quarter of an hour;'
	@echo '                ARGS=--quick: in two minutes'
	@echo 'make gpu        check and time the program on a CUDA GPU: a table in six minutes;'
	@echo '                without a GPU, only the tests that need none'

install: $(READY)

demo: $(READY)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(PY) -m tools.demo

test: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal $(if $(COVERAGE),--cov --cov-report=term) $(ARGS)

faults: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/faults

# Strict: fail if PyPI has no answer for a library, because it may still have vulnerabilities.
audit: $(READY)
	$(PY) -m pip install --quiet 'pip-audit>=2.7'
	$(PY) -m pip_audit --local --strict --progress-spinner off

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# The site keeps the project's folder layout, so that links between the files work in both places.
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

# The stamp file is written last, so that the next `make` repeats an interrupted installation.
$(INSTALLED): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@echo 'installing into $(VENV): this takes minutes; PyTorch for Linux includes CUDA, 6 GB on disk'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -r requirements.txt -r requirements-dev.txt
	@touch $@
