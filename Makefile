# All tasks of the project; `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# More than CI has cores, because many tests wait for processes that they start.
TEST_PROCESSES ?= 3
RUNS ?= 1
LANES ?= 2
PIP_VERSION := 26.3

# One thread per process: more slow each other down on a busy machine (docs/decisions).
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check format faults bench bench-jobs bench-policies wheel images \
    clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv with all pinned packages

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	    || { echo "Could not create a virtual environment: install your system's python3-venv."; exit 1; }
	@echo "Installing packages into $(VENV): this takes some minutes and 2.5 GB of disk space ..."
	$(BIN)/python -m pip install --quiet --upgrade pip==$(PIP_VERSION)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt \
	    --group test --group check --editable '.[web,worker,redis,postgres,s3,train]'
	@# pip compiles on one core, and also what is hardly ever imported (tests, and a third of all
	@# code installed). Files for newer Pythons, which some packages contain, fail to compile.
	@$(BIN)/python -m compileall -q -q -j 0 \
	    -x '/tests/|/(sympy|moto|networkx)/|/torch/(_inductor|_dynamo|testing/_internal)/' \
	    $(VENV)/lib faces_jobs migrations models web || true
	@touch $@

demo: $(STAMP) ## run the whole service on a sample clip, then serve it at http://127.0.0.1:8000
	$(BIN)/faces-jobs demo

test: $(STAMP) ## run all tests; without a service its tests are skipped (or fail with REQUIRE_SERVICES=1)
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES)

check: $(STAMP) ## run CI's static checks: format, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## format the code and apply ruff's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

faults: $(STAMP) ## inject every fault at every point of a job's life (RUNS=3 of each, LANES=2 in parallel)
	$(BIN)/python -m tests.faults --runs $(RUNS) --lanes $(LANES)

bench: $(STAMP) ## compare the pipeline with its limit, a plain loop and deface (8 min on an idle machine)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m tests.bench

bench-jobs: $(STAMP) ## measure the job engine (SUBJECTS="clients images ...", ROWS=10000000, IMAGES=10000)
	$(BIN)/python -m tests.bench_jobs $(SUBJECTS) $(if $(ROWS),--rows $(ROWS)) \
	    $(if $(IMAGES),--images $(IMAGES)) $(if $(REQUESTS),--requests $(REQUESTS)) \
	    $(if $(ROUNDS),--rounds $(ROUNDS))

bench-policies: $(STAMP) ## measure what sparse detection and classification gain and lose (CLIPS="a.mp4 b.mp4")
	$(BIN)/python -m tests.bench.policies $(CLIPS)

wheel: $(STAMP) ## build the wheel into dist/
	rm -f dist/faces_jobs-*
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

images: wheel ## build the images faces-jobs-web and faces-jobs-worker (BASE=..., PIP_OPTIONS=...)
	for target in web worker; do \
	    docker build --file docker/Dockerfile --target $$target --tag faces-jobs-$$target \
	        $(if $(BASE),--build-arg BASE="$(BASE)") $(if $(PIP_OPTIONS),--build-arg PIP_OPTIONS="$(PIP_OPTIONS)") \
	        . || exit 1; \
	done

clean: ## remove the virtual environment and caches, but keep uploads and results in var/
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
