# Thin: sets up .venv, then calls the package. Settings: PROFILE=sample|short|full  SEED=0  RETRAIN=1
#   make report PROFILE=short    make test    make publish PROFILE=short    make student    make lint    make bench

PROFILE ?= $(or $(SCENE_PROFILE),sample)
SEED ?= 0
PYTHON ?= python3
export PROFILE SEED
export PYTHONUTF8 = 1

VENV := .venv
RUN := $(VENV)/bin/python -m
READY := $(VENV)/.ready
APP := $(VENV)/.app
UNFINISHED := build/unfinished
SIZE := about 3 GB to download and 7 GB on disk

.PHONY: report app test test-own test-cluster lint bench publish publish-runs student grade colab site check-numbers predictions cards audit clean
.DEFAULT_GOAL := report

report publish: $(READY)
	@$(RUN) scene_utils $@ --profile "$$PROFILE" --seed "$$SEED"

publish: report

# publish-runs: finished runs alone, at once, also where the page that shows them is not done.
# colab: the repository's address, set in pyproject.toml, into the notebooks' first cell, with a Colab badge.
# site: notebooks, report, glossary and handbook as pages that a browser reads from a folder: build/site/index.html.
# cards: what is published about the shipped model, from the published records: threshold, model card, data card.
publish-runs student colab site check-numbers cards: $(READY)
	@$(RUN) scene_utils $@

# The predictions of all runs of a profile, image by image: a table for a course on statistics.
predictions: $(READY)
	@$(RUN) scene_utils predictions --profile "$$PROFILE"

# Returned notebooks of a folder, into a table. TRUSTED=1 where the system has no walls for them.
grade: $(READY)
	@$(RUN) scene_utils grade --profile "$$PROFILE" $(if $(TRUSTED),--trusted) "$$FOLDER"

# A page in the browser that says what photos show, on this machine alone.
app: $(APP)
	@$(RUN) scene_utils app

test: $(READY)
	@$(RUN) pytest --nbval -n auto --dist loadfile --no-loadscope-reorder tests notebooks

# The whole series on two classes of somebody's own images, about five minutes.
test-own: $(READY)
	@$(RUN) tests.own_series

# On a one-node Slurm of its own, as root: apt-get install slurm-wlm munge slurmdbd mariadb-server
test-cluster: $(READY)
	@$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[series,cluster]'
	@$(VENV)/bin/python tests/cluster/slurm.py

lint: $(READY)
	@$(RUN) ruff check .

bench: $(READY)
	@$(VENV)/bin/python tests/benchmarks/bench.py

# Known weaknesses in the pinned versions; the tool itself stays out of .venv. Strict: what cannot be looked up
# (a mirror without the index's own data on weaknesses) is a failure, not a clean result.
audit:
	@$(PYTHON) -m venv build/audit && build/audit/bin/pip install -q pip-audit
	@build/audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

# Trained runs stay: delete the folder runs by hand where they are not wanted any more.
clean:
	rm -rf $(VENV) build student .pytest_cache .ruff_cache scene_utils.egg-info

# A .venv whose Python is gone, or another one than PYTHON names, or whose installation was interrupted is made anew.
VERSION := import pip, sys; print("%d.%d" % sys.version_info[:2])
HAS := $(shell $(VENV)/bin/python -c '$(VERSION)' 2>/dev/null)
WANTS := $(if $(filter file,$(origin PYTHON)),$(HAS),$(shell "$(PYTHON)" -c '$(VERSION)' 2>/dev/null))
GOOD := $(and $(HAS),$(filter $(HAS),$(WANTS)),$(if $(wildcard $(UNFINISHED)),,yes))
ifndef GOOD
.PHONY: $(READY)
endif

$(READY): requirements.txt constraints.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 or newer; call: make PYTHON=python3.12 ..." >&2; exit 1; }
	@mkdir -p build && touch $(UNFINISHED)
	@[ -n "$(GOOD)" ] || [ ! -e $(VENV) ] || echo "$(VENV) is broken, unfinished or of another Python: made anew"
	@[ -n "$(GOOD)" ] || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "installing what requirements.txt and pyproject.toml name into $(VENV); the first time $(SIZE)"
	@$(VENV)/bin/python scripts/install.py -c constraints.txt -e '.[series]'
	@touch $@ && rm $(UNFINISHED)

$(APP): $(READY)
	@echo "installing Gradio and ONNX Runtime into $(VENV)"
	@$(VENV)/bin/python scripts/install.py -c constraints.txt -e '.[series,app]'
	@touch $@
