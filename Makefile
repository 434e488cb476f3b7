# make run starts the dashboard, make test checks everything; both install what they need into .venv.

VENV := .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.12 python3.13 python3.11; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)

# PyTorch's index of builds for the CPU: the versions of requirements.txt with the suffix +cpu, which pip prefers, in 0.7 GB
# instead of 5. Used if there is no NVIDIA GPU and the index answers; otherwise pip installs the usual builds.
CPU_BUILDS ?= https://download.pytorch.org/whl/cpu
ANSWERS := import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=5)

export GOMP_SPINCOUNT ?= 1000# as in streamlit_app.py

.PHONY: run test benchmark check tour setup setup-dev gpu-check

# make run listens on localhost; make run SHARE=1 also serves the other machines of the network.
run: setup
	$(BIN)/streamlit run streamlit_app.py --server.port 8501 $(if $(SHARE),,--server.address localhost)

test: check
	$(BIN)/python -m pytest -m "not slow and not browser" --numprocesses 2
	$(BIN)/python -m pytest -m "not slow and browser"

# make benchmark NAME=startup: prints one line a figure and a verdict, fails below the floor.
benchmark: setup-dev
	PYTHONPATH=.:tests $(BIN)/python benchmarks/$(NAME).py

# make tour: films docs/tour.webp, the animation in the README, in three minutes.
tour: setup-dev
	PYTHONPATH=.:tests $(BIN)/python docs/tour.py

check: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if ! nvidia-smi -L >/dev/null 2>&1 && $(BIN)/python -c '$(ANSWERS)' $(CPU_BUILDS) 2>/dev/null; then \
		echo "No NVIDIA GPU found: installing PyTorch for the CPU"; index="--extra-index-url $(CPU_BUILDS)"; fi; \
	$(BIN)/python -m pip install --quiet $$index --requirement requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

# On a machine with an accelerator, in any Python that has torch, torchvision, timm, numpy and pillow.
gpu-check:
	python3 tests/gpu_check.py
