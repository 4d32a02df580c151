# Thin: sets up .venv, then calls the package. Settings: PROFILE=sample|short|full  SEED=0  RETRAIN=1
#   make report PROFILE=short    make test    make publish PROFILE=short    make student    make lint    make bench

PROFILE ?= sample
SEED ?= 0
PYTHON ?= python3
export PROFILE SEED
export PYTHONUTF8 = 1

VENV := .venv
RUN := $(VENV)/bin/python -m
READY := $(VENV)/.ready

.PHONY: report test test-cluster lint bench publish student check-numbers audit clean
.DEFAULT_GOAL := report

report: $(READY)
	@$(RUN) scene_utils report --profile "$$PROFILE" --seed "$$SEED"

test: $(READY)
	@$(RUN) pytest --nbval tests notebooks

# On a one-node Slurm of its own, as root: apt-get install slurm-wlm munge slurmdbd mariadb-server
test-cluster: $(READY)
	@$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[series,cluster]'
	@$(VENV)/bin/python tests/cluster/slurm.py

lint: $(READY)
	@$(RUN) ruff check .

bench: $(READY)
	@$(VENV)/bin/python tests/benchmarks/bench.py

publish: report
	@$(RUN) scene_utils publish --profile "$$PROFILE" --seed "$$SEED"

student: $(READY)
	@$(RUN) scene_utils student

check-numbers: $(READY)
	@$(RUN) scene_utils check-numbers

# Known weaknesses in the pinned versions; the tool itself stays out of .venv. Strict: what cannot be looked up
# (a mirror without the index's own data on weaknesses) is a failure, not a clean result.
audit:
	@$(PYTHON) -m venv build/audit && build/audit/bin/pip install -q pip-audit
	@build/audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

# Trained runs stay: delete the folder runs by hand where they are not wanted any more.
clean:
	rm -rf $(VENV) build student .pytest_cache .ruff_cache scene_utils.egg-info

$(READY): requirements.txt constraints.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 or newer; call: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "setting up $(VENV) (once; PyTorch is large, so this takes a few minutes)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[series]'
	@touch $@
