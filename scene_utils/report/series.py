"""The series: execute one notebook, or all that is out of date, and know where things lie."""

from __future__ import annotations

import ast
import contextlib
import datetime
import importlib.util
import json
import logging
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from unittest.mock import patch

import psutil
from filelock import Timeout

from scene_utils import cases
from scene_utils.report import manifest
from scene_utils.report.manifest import CONCLUSIONS
from scene_utils.support import folder as folders
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

CELL_TIMEOUT = {"sample": 3600, "short": 12 * 3600, "full": 24 * 3600}  # seconds for one cell

NAME = re.compile(r"[0-9A]\d[a-z]?_[a-z0-9_]+")  # of a notebook of the series; Untitled and copies are left alone
KERNEL = "python3"


def notebooks_dir() -> Path:
    """Folder of the committed notebooks."""
    return settings.project_dir() / "notebooks"


def notebooks() -> list[str]:
    """Names of the series' notebooks in reading order.

    ``ONLY="01_data 02_lenet"`` in the environment leaves these and the conclusions.

    Raises:
        SceneError: where ``ONLY`` names what is no notebook.
    """
    names = sorted(path.stem for path in notebooks_dir().glob("*.ipynb") if NAME.fullmatch(path.stem))
    only = os.environ.get("ONLY", "").split()
    for name in only:
        if name not in names:
            raise SceneError(f"ONLY: there is no notebook {name!r}; known: {', '.join(names)}")
    return [name for name in names if not only or name in [*only, CONCLUSIONS]]


def depends(name: str) -> list[str]:
    """Names of the notebooks that ``name`` builds on: it is executed again when one of them was."""
    names = notebooks()
    wanted = set(names) - {name} if name == CONCLUSIONS else manifest.builds_on(name)
    return [other for other in names if other in wanted]


def priority(name: str) -> int:
    """Number of notebooks that wait for ``name``: what most wait for is executed first."""
    waiting = [other for other in notebooks() if name in depends(other)]
    return len(waiting) + sum(map(priority, waiting))


def folder(profile: str, seed: int) -> Path:
    """Folder of the executed notebooks and the report of a profile and seed."""
    return settings.runs_dir() / (profile if seed == 0 else f"{profile}-s{seed}")


def executed(profile: str, seed: int, name: str) -> Path:
    """Path of an executed notebook."""
    return folder(profile, seed) / "notebooks" / f"{name}.ipynb"


def read_notebook(path: Path):
    """Read a notebook (format 4).

    Raises:
        SceneError: for a file that is none.
    """
    import nbformat  # slow to import, and not needed where nothing has changed

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError) as error:  # nbformat's own errors are ValueErrors
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SceneError(f"{path} is no notebook that can be read ({reason})") from error


def tagged(cell, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def write_notebook(notebook, path: Path) -> Path:
    """Write a notebook atomically."""
    import nbformat

    return settings.atomic_write(path, nbformat.writes(notebook) + "\n")


def _braces(path: Path) -> str:
    """Papermill fills in ``{...}`` in paths; ours are meant as they are."""
    return str(path).replace("{", "{{").replace("}", "}}")


def execute(notebook: Path, output: Path, values: dict[str, object], timeout: int | None = None) -> Path:
    """Execute a notebook with papermill; ``output`` appears only when every cell has run.

    A notebook that fails is kept with its traceback as ``<name>.failed.ipynb`` beside ``output``.

    Args:
        values: parameters; each must be set in the notebook's cell tagged ``parameters``.
        timeout: seconds that one cell may take (default: that of the profile).

    Raises:
        SceneError: for an unknown parameter or profile, and for a notebook that fails.
    """
    import papermill  # slow to import, as ipykernel and Snakemake are

    notebook, output = Path(notebook).absolute(), Path(output).absolute()
    if not any(tagged(cell, "parameters") for cell in read_notebook(notebook).cells):
        raise SceneError(f"{notebook.name} has no cell tagged 'parameters'; tag the cell that sets them")
    for name in values:
        settings.check_known(f"parameter of {notebook.name}", name, papermill.inspect_notebook(_braces(notebook)))
    profile = settings.profile(values.get("profile"))
    running = output.with_suffix(".running.ipynb")
    failed = output.with_suffix(".failed.ipynb")
    waiting = f"{output.stem}: still executed by an interrupted run; waiting for it to finish"
    with settings.locked(output.with_name(f".{output.name}.lock"), waiting), _private_jupyter():
        try:
            papermill.execute_notebook(
                _braces(notebook),
                _braces(running),
                values,
                kernel_name=KERNEL,
                cwd=notebook.parent,
                # nobody knows how many images of one's own there are
                execution_timeout=timeout or CELL_TIMEOUT["full" if settings.data_dir() else profile],
                progress_bar=False,  # other notebooks are executed beside this one
                stdout_file=_Progress(),
                extra_arguments=["--log-level=CRITICAL"],  # what the kernel says of itself helps no reader
            )
        except BaseException as error:
            if running.exists():
                os.replace(running, failed)
            if not isinstance(error, Exception):
                raise
            raise SceneError(f"{notebook.name} failed: {_reason(error)}; its traceback: {failed}") from error
        failed.unlink(missing_ok=True)
        os.replace(running, output)
    return output


def _reason(error: Exception) -> str:
    """One line for what stopped a notebook."""
    if hasattr(error, "ename"):
        lines = str(error.evalue).strip().splitlines() or [""]
        text = lines[0] if error.ename == "SceneError" else f"{error.ename}: {lines[0]}"
        return f"cell [{error.exec_count}]: {text}"
    return {
        "DeadKernelError": "its kernel was killed (by the system, where memory runs out); call again",
        "CellTimeoutError": "a cell took longer than CELL_TIMEOUT in scene_utils/report/series.py allows",
    }.get(type(error).__name__, f"{type(error).__name__}: {error}".splitlines()[0])


@contextlib.contextmanager
def _private_jupyter() -> Iterator[None]:
    """Use this interpreter's kernel, keep a user's IPython start-up files out, do without a writable home folder."""
    from ipykernel.kernelspec import write_kernel_spec

    with tempfile.TemporaryDirectory() as place:
        write_kernel_spec(Path(place) / "kernels" / KERNEL)
        others = os.environ.get("JUPYTER_PATH")  # of a hub or a module, which may hold another Python's kernel
        paths = os.pathsep.join([place, others] if others else [place])
        private = {"IPYTHONDIR": place, "JUPYTER_RUNTIME_DIR": place, "JUPYTER_PATH": paths, "TQDM_DISABLE": "1"}
        with patch.dict(os.environ, private):
            yield


class _Progress:
    """Shows the newest line that ``training.fit`` printed about an epoch, every half minute at most."""

    def __init__(self, every: float = 30.0):
        self.every, self.last = every, time.monotonic()

    def write(self, text: str) -> None:
        lines = re.findall(r"^.* epoch \d+/\d+, .*$", text, flags=re.MULTILINE)
        if lines and time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            print(f"    {lines[-1]}", flush=True)

    def flush(self) -> None:
        pass


# --- the graph


@contextlib.contextmanager
def hold(place: Path) -> Iterator[None]:
    """Hold a folder; the system gives the lock back when this process ends, however it ends.

    Raises:
        SceneError: where another process holds it, naming that process.
    """
    place.mkdir(parents=True, exist_ok=True)
    owner = place / ".owner"
    try:
        held = settings.file_lock(place / ".lock").acquire(timeout=0)
    except Timeout:
        who = owner.read_text(encoding="utf-8") if owner.exists() else "another process"
        raise SceneError(f"{place} is in use by {who}; wait for it, or stop it, then call again") from None
    with held:
        now = datetime.datetime.now().strftime("%H:%M")
        settings.atomic_write(owner, f"process {os.getpid()} on {socket.gethostname()} (since {now})")
        yield


def run(profile: str | None = None, seed: int = 0, options: Sequence[str] = ()) -> Path:
    """Execute what is out of date in the series, and return the path of the report.

    ``RETRAIN=1`` in the environment executes, and trains, everything again.

    Args:
        options: Snakemake's options in place of ours for this machine, such as ``--executor slurm --jobs 8``.

    Raises:
        SceneError: where another process holds the folder, where a notebook fails, where Slurm is not ready.
    """
    settings.check_environment()
    profile = settings.profile(profile)
    notebooks()  # names that are none, and images that are no dataset, are named before anything starts
    data_state()
    if any(re.fullmatch("(--executor=|-e=?)?slurm", option) for option in options):
        check_slurm(options)
    place = folder(profile, seed)
    with hold(place):
        _use_writable_caches()
        own = f", own images in {settings.data_dir()}" if settings.data_dir() else ""
        print(f"profile {profile}, seed {seed}{own}: looking for what is out of date", flush=True)
        _snakemake(profile, seed, options)
    return place / "report.html"


def _use_writable_caches() -> None:
    """Where the home folder cannot be written to, let caches lie in the runs folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
    except OSError:
        os.environ["XDG_CACHE_HOME"] = str(settings.runs_dir() / ".cache")
        os.environ.setdefault("MPLCONFIGDIR", str(settings.runs_dir() / ".cache" / "matplotlib"))


def check_slurm(options: Sequence[str]) -> None:
    """Say in one line what Slurm would lack, before any job waits in vain.

    Raises:
        SceneError: naming the plug-in, the accounting, or why Slurm would refuse a job (an account, a partition).
    """
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        raise SceneError("Snakemake's plug-in for Slurm is missing; call: .venv/bin/pip install -e '.[cluster]'")
    if shutil.which("sbatch") is None:
        raise SceneError("there is no sbatch on this machine; call this where jobs are submitted, on a login node")
    named = re.findall(r"\bslurm_(account|partition)=(\S+)", " ".join(options))
    asked = {
        "accounting, by which the end of a job is noticed,": ["sacct", "-n", "-X"],
        "a first job": ["sbatch", "--test-only", *(f"--{what}={name}" for what, name in named), "--wrap", "true"],
    }
    for what, command in asked.items():
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = " ".join(done.stderr.split())
            raise SceneError(f"Slurm refuses {what} ({reason}); ask who runs this cluster")


def _snakemake(profile: str, seed: int, options: Sequence[str]) -> None:
    """Call Snakemake in this process, so that its life is the life of the lock."""
    from snakemake import cli

    project, command = settings.project_dir(), [sys.executable, "-m", "scene_utils"]
    edition, config = ["--profile", profile, "--seed", str(seed)], [f"profile={profile}", f"seed={seed}"]
    # in a process of its own, for its memory; what other machines or a choice of notebooks take, it does not know
    log = _Log([] if profile == "sample" or options or os.environ.get("ONLY") else [*command, "estimate", *edition])
    if not options:
        # up to four notebooks are executed side by side, one after the other on one GPU
        cores, memory = os.cpu_count() or 1, psutil.virtual_memory().total // 2**20
        options = ["--cores", "all", "--resources", "gpu=1", f"mem_mb={memory}"]
        config += [f"gpu={int(gpu())}", f"threads={cores if gpu() else max(1, cores // 4)}"]
    # each page by its name: Snakemake does not miss what lies between the sources and a report that is up to date
    pages = [executed(profile, seed, name).relative_to(folder(profile, seed)) for name in notebooks()]
    arguments = ["report", *pages, "--snakefile", project / "Snakefile", *options, "--config", *config]
    arguments += ["--keep-going", "--nolock", "--rerun-incomplete", "--quiet", "all"]
    # Not "input": a record more or less is no reason, a newer one is.
    arguments += ["--rerun-triggers", "code", "mtime", "params"]
    copies = folder(profile, seed) / ".snakemake" / "source"  # beside the runs: not every home can be written to
    shutil.rmtree(copies, ignore_errors=True)  # or a changed Snakefile would go unnoticed
    arguments += ["--runtime-source-cache-path", copies]
    if since := settings.retrain_since():
        os.environ["RETRAIN"] = since  # one date for all kernels: none trains again what another has just trained
        arguments += ["--forceall"]
    logging.getLogger("snakemake").addHandler(log)
    try:
        with contextlib.chdir(project):
            cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        if end.code and log.failed and not log.stopped:  # the report says what is missing, and why
            subprocess.run([*command, "assemble", *edition, "--conclude"], check=False)
        if end.code:
            raise SceneError(log.reason(folder(profile, seed) / "report.html")) from None
    finally:
        logging.getLogger("snakemake").removeHandler(log)


class _Log(logging.Handler):
    """Of what Snakemake logs: how far it is, what failed, and its own errors.

    Args:
        before: command to call before the first notebook is executed, if any.
    """

    def __init__(self, before: Sequence[str] = ()):
        super().__init__()
        self.before, self.failed, self.errors, self.stopped = before, [], [], False

    def emit(self, record: logging.LogRecord) -> None:
        match getattr(record, "event", None):
            case "run_info" if self.before and record.stats.get("execute"):
                subprocess.run(self.before, check=False)  # what stops it stops the first notebook, too
            case "progress":
                print(f"{record.done} of {record.total} steps done", flush=True)
            case "job_error":
                self.failed += [name := Path(record.output[0]).stem]
                if record.log:  # a cluster's job tells nobody but its log
                    print(f"{name}: {record.rule_msg} Log: {', '.join(record.log)}", flush=True)
            case "error":
                self.errors += record.getMessage().split()
            case None if record.getMessage().startswith("Nothing to be done"):
                print("nothing has changed", flush=True)
            case None if "on user request" in record.getMessage():
                self.stopped = True

    def reason(self, report: Path) -> str:
        """One line for why Snakemake has stopped."""
        if not self.failed:
            return f"the graph of the series cannot be executed: {' '.join(self.errors) or 'interrupted'}"
        names = ", ".join(dict.fromkeys(self.failed))
        shows = f"{report} shows what there is; " if report.exists() else ""
        return f"stopped at {names}; {shows}mend what is named above, then call again to go on"


def sources(name: str) -> list[Path]:
    """Files that an executed notebook depends on: what it imports of the package, what that imports, and the facts."""
    package = settings.project_dir() / "scene_utils"
    cells = json.loads((notebooks_dir() / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    # not of the first one, which only installs and holds lines for the shell
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code" and cell.get("id") != "install"]
    found, ahead = set(), modules("\n".join(code))
    while ahead:
        module = ahead.pop()
        if module not in found:
            found.add(module)
            ahead |= _imported_by(module, module.stat().st_mtime_ns)
    return sorted([*found, *package.glob("facts/*.json")])


@cache
def _imported_by(module: Path, changed: int) -> frozenset[Path]:
    return frozenset(modules(module.read_text(encoding="utf-8")))


def modules(source: str) -> set[Path]:
    """Files of the package that a source imports, at its top or within a function."""
    root, names = settings.project_dir(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
    paths = [root.joinpath(*name.split(".")) for name in names if name.split(".")[0] == "scene_utils"]
    return {file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()}


def report_sources(profile: str) -> list[Path]:
    """Files that the report's pages depend on, beside the executed notebooks."""
    package = settings.project_dir() / "scene_utils"
    own = [path for folder in ("report", "text") for path in (package / folder).rglob("*.*") if path.suffix != ".pyc"]
    committed = [notebooks_dir() / f"{name}.ipynb" for name in {slide.notebook for slide in manifest.slides()}]
    return sorted([*own, *filter(Path.exists, committed), *record_files(CONCLUSIONS, profile, 0)])


def record_files(name: str, profile: str, seed: int) -> list[Path]:
    """Records and tables that a notebook shows, published ones included; of its live experiments the recorded pairs."""
    path = notebooks_dir() / f"{name}.ipynb"
    source = path.read_text(encoding="utf-8") if path.exists() else ""
    live = [f"live/{each}.json" for each in re.findall(r'live\.compare\(\\"([\w-]+)', source)]
    places = settings.runs_dir() / "results", settings.published_dir(), settings.project_dir() / "scene_utils/designs"
    patterns = [*manifest.shown_files(name, profile, seed), *live, *case_files(source)]
    return sorted({path for place in places for pattern in patterns for path in place.glob(pattern)})


def case_files(source: str) -> list[str]:
    """Patterns of the files of the cases that a notebook's JSON names in calls of ``verdicts.show`` or ``cases``."""
    calls = re.findall(r"(?:verdicts\.show|cases\.\w+)\((.*?)\)", source)
    named = {re.split("[.-]", word)[0] for call in calls for word in re.findall(r'\\"([\w.-]+)\\"', call)}
    return [pattern for case in sorted(named) for pattern in cases.files(case)]


def gpu() -> bool:
    """Whether notebooks will train on a GPU of this machine (looked for without importing torch)."""
    choice = settings.choice("SCENE_DEVICE")
    mac = sys.platform == "darwin" and platform.machine() == "arm64"
    return choice in ("cuda", "mps") or choice == "auto" and (mac or any(Path("/dev").glob("nvidia[0-9]*")))


def data_state() -> str:
    """What decides, beside the sources, whether an executed notebook is still good: own images, weights."""
    own, weights = settings.data_dir(), os.environ.get("SCENE_WEIGHTS", "")
    return f"{weights} {own} {folders.state(own)}" if own else f"{weights} "


def execute_job(name: str, output: Path, profile: str, seed: int) -> None:
    """Execute one notebook of the graph, and say how long that took."""
    print(f"{name} ...", flush=True)
    start = time.monotonic()
    execute(notebooks_dir() / f"{name}.ipynb", output, {"profile": profile, "seed": seed})
    print(f"{name}: {time.monotonic() - start:,.0f} s", flush=True)


def conclude(profile: str, seed: int) -> None:
    """Execute the conclusions, which wait for all lessons, though one has failed; not where they have failed, too."""
    source, output = notebooks_dir() / f"{CONCLUSIONS}.ipynb", executed(profile, seed, CONCLUSIONS)
    failed = output.with_suffix(".failed.ipynb")
    if source.exists() and not (failed.exists() and failed.stat().st_mtime > source.stat().st_mtime):
        try:
            execute_job(CONCLUSIONS, output, profile, seed)
        except SceneError as error:  # the report is made from what there is
            print(error, flush=True)
