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
from pathlib import Path

from filelock import FileLock, Timeout

from scene_utils.support import settings
from scene_utils.support.settings import SceneError

REPORT = "10_report"

# A notebook is executed again when one that it builds on was. The report builds on all of them.
DEPENDS = {
    "03_custom_lenet": ["02_lenet"],
    "06_resnet18_mixup": ["05_resnet_depth"],
    "07_resnet18_transfer": ["05_resnet_depth"],
    "08_ensemble": ["06_resnet18_mixup", "07_resnet18_transfer"],
    "09_questions": ["04_alexnet", "08_ensemble"],
    "A1_beyond": ["08_ensemble"],
}

CELL_TIMEOUT = {"sample": 3600, "short": 12 * 3600, "full": 24 * 3600}  # seconds for one cell

NAME = re.compile(r"[0-9A]\d[a-z]?_[a-z0-9_]+")  # of a notebook of the series; Untitled and copies are left alone
KERNEL = "python3"


def notebooks_dir() -> Path:
    """Folder of the committed notebooks."""
    return settings.project_dir() / "notebooks"


def notebooks() -> list[str]:
    """Names of the series' notebooks in reading order; the report comes last.

    ``ONLY="01_data 02_lenet"`` in the environment leaves these and the report.

    Raises:
        SceneError: where ``ONLY`` names what is no notebook.
    """
    names = sorted(path.stem for path in notebooks_dir().glob("*.ipynb") if NAME.fullmatch(path.stem))
    only = os.environ.get("ONLY", "").split()
    for name in only:
        if name not in names:
            raise SceneError(f"ONLY: there is no notebook {name!r}; known: {', '.join(names)}")
    names = [name for name in names if not only or name in [*only, REPORT]]
    return sorted(names, key=lambda name: name == REPORT)


def depends(name: str) -> list[str]:
    """Names of the notebooks that ``name`` builds on."""
    names = notebooks()
    wanted = set(names) - {REPORT} if name == REPORT else DEPENDS.get(name, [])
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
    import nbformat

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


def parameters(notebook: Path) -> dict[str, str]:
    """Names and default values (as source) of a notebook's parameters.

    Raises:
        SceneError: where there is no cell tagged ``parameters``.
    """
    from papermill import inspect_notebook

    content = read_notebook(notebook)
    if not any(tagged(cell, "parameters") for cell in content.cells):
        raise SceneError(f"{notebook.name} has no cell tagged 'parameters'; tag the cell that sets them")
    return {name: found["default"] for name, found in inspect_notebook(_braces(notebook)).items()}


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
    import papermill

    notebook, output = Path(notebook).absolute(), Path(output).absolute()
    known = parameters(notebook)
    for name in values:
        if name not in known:
            raise SceneError(f"{notebook.name} has no parameter {name!r}; known: {', '.join(known)}")
    profile = settings.profile(values.get("profile"))
    running = output.with_suffix(".running.ipynb")
    failed = output.with_suffix(".failed.ipynb")
    output.parent.mkdir(parents=True, exist_ok=True)
    with _turn(output), _private_jupyter():
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
def _turn(output: Path) -> Iterator[None]:
    """Wait where a notebook is still executed by what an interrupted run left behind."""
    waiting = f"{output.stem}: still executed by an interrupted run; waiting for it to finish"
    with settings.locked(output.with_name(f".{output.name}.lock"), waiting):
        yield


@contextlib.contextmanager
def _private_jupyter() -> Iterator[None]:
    """Use this interpreter's kernel, keep a user's IPython start-up files out, do without a writable home folder."""
    with tempfile.TemporaryDirectory() as place:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"}
        settings.atomic_write(Path(place) / "kernels" / KERNEL / "kernel.json", json.dumps(spec))
        others = os.environ.get("JUPYTER_PATH")  # of a hub or a module, which may hold another Python's kernel
        paths = os.pathsep.join([place, others] if others else [place])
        private = {"IPYTHONDIR": place, "JUPYTER_RUNTIME_DIR": place, "JUPYTER_PATH": paths, "TQDM_DISABLE": "1"}
        before = {name: os.environ.get(name) for name in private}
        os.environ.update(private)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


class _Progress:
    """Shows the newest line that ``training.fit`` printed about an epoch, every half minute at most."""

    def __init__(self, every: float = 30.0):
        self.every, self.last = every, time.monotonic()

    def write(self, text: str) -> None:
        lines = re.findall(r"^(.* epoch (\d+)/(\d+), .* ([\d.]+) s)$", text, flags=re.MULTILINE)
        if lines and time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            line, epoch, epochs, seconds = lines[-1]
            left = (int(epochs) - int(epoch)) * float(seconds)
            print(f"    {line}, about {duration(left)} left", flush=True)

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
        held = FileLock(place / ".lock").acquire(timeout=0)
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
    data_state()  # images of one's own that are no dataset are named before anything starts
    if "slurm" in options:
        check_slurm(options)
    place = folder(profile, seed)
    with hold(place):
        _use_writable_caches()
        own = f", own images in {settings.data_dir()}" if settings.data_dir() else ""
        print(f"profile {profile}, seed {seed}{own}: looking for what is out of date", flush=True)
        _snakemake(profile, seed, options)
    return place / ("report.html" if REPORT in notebooks() else "notebooks")


def _use_writable_caches() -> None:
    """Where the home folder cannot be written to, let caches lie in the runs folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
    except OSError:
        os.environ["XDG_CACHE_HOME"] = str(settings.runs_dir() / ".cache")
        os.environ.setdefault("MPLCONFIGDIR", str(settings.runs_dir() / ".cache" / "matplotlib"))


def local_options() -> list[str]:
    """Snakemake's options for this machine: all of its cores and its memory, one GPU where it has one."""
    import psutil

    memory = psutil.virtual_memory().total // 2**20
    return ["--cores", "all", "--resources", "gpu=1", f"mem_mb={memory}"]


def check_slurm(options: Sequence[str]) -> None:
    """Say in one line what Slurm would lack, before any job waits in vain.

    Raises:
        SceneError: naming the plug-in, the accounting, or why Slurm would refuse a job (an account, a partition).
    """
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        raise SceneError("Snakemake's plug-in for Slurm is missing; call: .venv/bin/pip install -e '.[cluster]'")
    if shutil.which("sbatch") is None:
        raise SceneError("there is no sbatch on this machine; call this where jobs are submitted, on a login node")
    account = re.findall(r"\bslurm_account=(\S+)", " ".join(options))
    asked = {
        "accounting, by which the end of a job is noticed,": ["sacct", "-n", "-X"],
        "a first job": ["sbatch", "--test-only", *(f"--account={name}" for name in account), "--wrap", "true"],
    }
    for what, command in asked.items():
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = " ".join(done.stderr.split())
            raise SceneError(f"Slurm refuses {what} ({reason}); ask who runs this cluster")


def _snakemake(profile: str, seed: int, options: Sequence[str]) -> None:
    """Call Snakemake in this process, so that its life is the life of the lock."""
    from snakemake import cli

    project = settings.project_dir()
    config = [f"profile={profile}", f"seed={seed}"]
    if not options:
        config += [f"gpu={int(gpu())}", f"threads={threads(os.cpu_count() or 1, gpu())}"]
    arguments = ["--snakefile", project / "Snakefile", *(options or local_options()), "--config", *config]
    arguments += ["--keep-going", "--nolock", "--rerun-incomplete", "--quiet", "all"]
    # Not "input": a record more or less is no reason, a newer one is.
    arguments += ["--rerun-triggers", "code", "mtime", "params"]
    copies = folder(profile, seed) / ".snakemake" / "source"  # beside the runs: not every home can be written to
    shutil.rmtree(copies, ignore_errors=True)  # or a changed Snakefile would go unnoticed
    arguments += ["--runtime-source-cache-path", copies]
    if since := settings.retrain_since():
        os.environ["RETRAIN"] = since  # one date for all kernels: none trains again what another has just trained
        arguments += ["--forceall"]
    estimate = [sys.executable, "-m", "scene_utils", "estimate", "--profile", profile, "--seed", str(seed)]
    # in a process of its own, for its memory; what other machines or a choice of notebooks take, it does not know
    log = _Log([] if profile == "sample" or options or os.environ.get("ONLY") else estimate)
    logging.getLogger("snakemake").addHandler(log)
    try:
        with contextlib.chdir(project):
            cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        if end.code:
            raise SceneError(log.reason()) from None
    finally:
        logging.getLogger("snakemake").removeHandler(log)


class _Log(logging.Handler):
    """Of what Snakemake logs: how far it is, what failed, and its own errors.

    Args:
        before: command to call before the first notebook is executed, if any.
    """

    def __init__(self, before: Sequence[str] = ()):
        super().__init__()
        self.before = before
        self.began, self.failed, self.errors = time.monotonic(), [], []

    def emit(self, record: logging.LogRecord) -> None:
        match getattr(record, "event", None):
            case "run_info":
                print(f"{record.stats['total']} steps to do", flush=True)
                if self.before and record.stats.get("execute"):
                    subprocess.run(self.before, check=False)  # what stops it stops the first notebook, too
                    self.began = time.monotonic()
            case "progress" if record.done < record.total:
                left = (time.monotonic() - self.began) / record.done * (record.total - record.done)
                print(f"{record.done} of {record.total} steps done, roughly {duration(left)} left", flush=True)
            case "job_error":
                self.failed += [name := Path(record.output[0]).stem]
                if record.log:  # a cluster's job tells nobody but its log
                    print(f"{name}: {record.rule_msg} Log: {', '.join(record.log)}", flush=True)
            case "error":
                self.errors += record.getMessage().split()
            case None if record.getMessage().startswith("Nothing to be done"):
                print("nothing has changed", flush=True)

    def reason(self) -> str:
        """One line for why Snakemake has stopped."""
        if self.failed:
            names = ", ".join(dict.fromkeys(self.failed))
            return f"stopped at {names}; mend what is named above, then call again to go on"
        return f"the graph of the series cannot be executed: {' '.join(self.errors) or 'interrupted'}"


def sources(name: str) -> list[Path]:
    """Files that an executed notebook depends on: what it imports of the package, what that imports, and the facts."""
    package = settings.project_dir() / "scene_utils"
    found, ahead = set(), modules("\n".join(code_of(notebooks_dir() / f"{name}.ipynb")))
    while ahead:
        module = ahead.pop()
        if module not in found:
            found.add(module)
            ahead |= modules(module.read_text(encoding="utf-8"))
    return sorted([*found, *package.glob("facts/*.json")])


def code_of(notebook: Path) -> list[str]:
    """Sources of a notebook's code cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


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


def page_sources() -> list[Path]:
    """Files that the report's pages depend on, beside the executed notebook."""
    package = settings.project_dir() / "scene_utils" / "report"
    return sorted([package / "pages.py", *(package / "templates").rglob("*.*")])


def record_files(profile: str) -> list[Path]:
    """Records of a profile, published ones included."""
    places = (settings.runs_dir() / "results", settings.published_dir())
    return [path for place in places for path in sorted(place.glob(f"*.{profile}.s*.json"))]


def report_languages() -> list[str]:
    """Suffixes of the report's languages: none for English, ``.ko`` where it has a parameter ``language``."""
    cells = json.loads((notebooks_dir() / f"{REPORT}.ipynb").read_text(encoding="utf-8"))["cells"]
    chosen = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    source = "\n".join("".join(cell["source"]) for cell in chosen)
    return ["", ".ko"] if re.search(r"^language\b", source, flags=re.MULTILINE) else [""]


def threads(cores: int, gpu: bool) -> int:
    """Threads of one notebook: up to four are executed side by side, one after the other on one GPU."""
    return cores if gpu else max(1, cores // 4)


def gpu() -> bool:
    """Whether notebooks will train on a GPU of this machine (looked for without importing torch)."""
    choice = settings.device_choice()
    mac = sys.platform == "darwin" and platform.machine() == "arm64"
    return choice in ("cuda", "mps") or choice == "auto" and (mac or any(Path("/dev").glob("nvidia[0-9]*")))


def data_state() -> str:
    """What decides, beside the sources, whether an executed notebook is still good: own images, weights."""
    own = settings.data_dir()
    parts = [os.environ.get("SCENE_WEIGHTS", ""), str(own or "")]
    if own:
        from scene_utils.support import folder

        parts.append(folder.state(own))
    return " ".join(parts)


def execute_job(name: str, output: Path, profile: str, seed: int) -> None:
    """Execute one notebook of the graph, and say how long that took.

    Args:
        name: a notebook's name, with ``.<language>`` where it is executed in another language than English.
    """
    stem, _, language = name.partition(".")
    values = {"profile": profile, "seed": seed} | ({"language": language} if language else {})
    print(f"{name} ...", flush=True)
    start = time.monotonic()
    execute(notebooks_dir() / f"{stem}.ipynb", output, values)
    print(f"{name}: {duration(time.monotonic() - start)}", flush=True)


def took(path: Path) -> float | None:
    """Seconds that an executed notebook took."""
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {}).get("duration")


def duration(seconds: float) -> str:
    """A duration for people: ``12 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
