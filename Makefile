# Every target sets itself up: .venv with the pinned packages of constraints.txt (a second call is instant).
#   make demo                                      a complete small benchmark on generated clips, no network needed
#   make bench SUITE=nw-ucla DATA=../shared/data   a suite on real recordings (PRESET=cpu or full, WORKERS=2)
#   make bench-data                                speed and size of the data path, as ratios to plain references
#   make bench-teachers                            share of a teacher's bare speed that feature extraction reaches
#   make bench-encoder                             the ST-GCN against a plain one, training and inference
#   make bench-step                                whole training steps against the targets on an H200
#   make bench-probes                              probes and neighbours on features of NTU-60's size
#   make fuzz                                      5,000 damaged inputs through every reader (COUNT=, SEED=)
#   make test                                      the tests, a process a core (C2VL_TEST_WORKERS=, 0: in this one; ARGS=)
#   make test-cluster                              suites in a real one-machine Slurm (installs Debian's packages where it may)
#   make explore RUN=work/runs/single              the concept explorer as a page of its own, without JupyterLab
#   make lint | make lab | make setup | make clean

SUITE   ?= demo
DATA    ?=
PRESET  ?=
WORKERS ?=
RUN     ?=
COUNT   ?= 5000
SEED    ?= 0
C2VL_TEST_WORKERS ?= logical
XDIST   := -n $(C2VL_TEST_WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PY      := .venv/bin/python
export PYTHON
# The weights come with the packages; nothing is fetched while the workbench runs.
export HF_HUB_OFFLINE ?= 1
export TRANSFORMERS_OFFLINE ?= 1

.PHONY: help setup setup-dev demo explore bench bench-data bench-teachers bench-encoder bench-step bench-probes fuzz test test-cluster lint format lab clean

help:
	@sed -n 's/^# *make /make /p' Makefile

setup:
	@tools/setup.sh

setup-dev:
	@tools/setup.sh dev

demo: setup
	@$(PY) -m c2vl_lab.cli bench demo $(if $(WORKERS),--workers $(WORKERS))

bench: setup
	@$(PY) -m c2vl_lab.cli bench $(SUITE) $(if $(DATA),--data "$(DATA)") $(if $(PRESET),--preset $(PRESET)) \
	  $(if $(WORKERS),--workers $(WORKERS))

bench-data: setup-dev
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.data $(ARGS)

bench-teachers: setup-dev
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.teachers $(ARGS)

bench-encoder: setup-dev
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.encoder $(ARGS)

bench-step: setup-dev
	$(PY) -m benchmarks.step $(ARGS)

bench-probes: setup-dev
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.probes $(ARGS)

fuzz: setup-dev
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.fuzz --seed $(SEED) --count $(COUNT) $(ARGS)

# One thread each: the test bodies are tiny, and more threads only wait for one another. A process for each core, four at
# most, for each holds up to 1.5 GB. A file stays in one process, since its tests share what is dear to make; taken by
# their names the files part evenly, and taken by their numbers of tests, xdist's own order, they do not.
test: setup-dev
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest $(if $(findstring no:xdist,$(ARGS)),,$(XDIST)) $(ARGS)

test-cluster: setup-dev
	@tools/slurm.sh
	C2VL_TEST_CLUSTER=1 OMP_NUM_THREADS=1 $(PY) -m pytest tests/test_cluster_slurm.py $(ARGS)

lint: setup-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: setup-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Kernels start in the repository root, so that `work/` means the same here and in the suites.
lab: setup
	$(PY) -m jupyterlab --ServerApp.root_dir=notebooks --MappingKernelManager.root_dir="$(CURDIR)"

explore: setup
	$(PY) -m c2vl_lab.explorer.serving $(RUN)

# Leaves work/ (stores, caches, runs) and reports/ alone: they took time to make.
clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find c2vl_lab tests -name __pycache__ -type d -prune -exec rm -rf {} +
