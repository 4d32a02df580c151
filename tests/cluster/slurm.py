"""The README's line for clusters, on a one-node Slurm with accounting that this script starts on the loopback.

    make test-cluster        (root; Debian's packages slurm-wlm munge slurmdbd mariadb-server)

Notebooks: ``ONLY`` (default: 01_data 02_lenet), and the report. Everything lies in one temporary folder; the daemons
are children of this process and end with it. Where ``SCENE_DATA_URL`` or the network gives the real dataset, the last
check fetches it here and reads it in a job that has no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from scene_utils.support import settings

PROJECT = settings.project_dir()
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "mariadb", "slurmdbd", "slurmctld", "slurmd", "sbatch", "sacct")
LIMIT = 3600  # seconds for one command; nothing here may wait for ever

SLURM = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
AuthInfo=socket={place}/munge/socket
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={place}/no-network.sh
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MessageTimeout=60
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={place}/munge/socket
AccountingStorageEnforce=associations
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=64000
PartitionName=all Nodes=node Default=YES MaxTime=UNLIMITED
"""

ACCOUNTING = """
AuthInfo=socket={place}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
PidFile={place}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""

# The plug-in calls srun without SLURM_CONF; on a real cluster that is a file in /etc, which this test leaves alone.
SRUN = """#!/bin/sh
SLURM_CONF={place}/slurm.conf exec {srun} "$@"
"""

# a compute node without network: git and downloads end at a closed port
NO_NETWORK = """#!/bin/sh
for name in http_proxy https_proxy all_proxy; do echo "export $name=http://127.0.0.1:9"; done
"""


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in sockets]


def wait_for(what: str, condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.5)


def succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=LIMIT).returncode == 0


class Daemons(contextlib.ExitStack):
    """Processes that are stopped, the last one first, when the context ends; after an error their logs are printed."""

    def __init__(self, place: Path):
        super().__init__()
        self.place = place

    def start(self, *command: str) -> None:
        log = (self.place / f"{Path(command[0]).name}.log").open("w")
        command = ("setpriv", "--pdeathsig", "TERM", *command)  # also where this process is killed
        self.callback(stop, subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    def __exit__(self, kind, *details) -> bool:
        if kind is not None:
            for log in [*sorted(self.place.glob("*.log")), *sorted(self.place.rglob("slurm_logs/**/*.log"))]:
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n", flush=True)
        return super().__exit__(kind, *details)


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def configure(place: Path) -> None:
    names = ("ctld", "slurmd", "dbd", "database")
    values = {"place": place, "host": socket.gethostname()} | dict(zip(names, free_ports(4), strict=True))
    for name in ("munge", "database", "state", "spool", "bin"):
        (place / name).mkdir(mode=0o755)
    for name, text, mode in (
        ("slurm.conf", SLURM.format(**values), 0o644),
        ("slurmdbd.conf", ACCOUNTING.format(**values), 0o600),
        ("no-network.sh", NO_NETWORK, 0o755),
        ("bin/srun", SRUN.format(place=place, srun=shutil.which("srun")), 0o755),
    ):
        (place / name).write_text(text)
        (place / name).chmod(mode)
    key = place / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    os.environ |= {"SLURM_CONF": str(place / "slurm.conf"), "SCENE_RUNS_DIR": str(place / "runs")}
    os.environ["PATH"] = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    os.environ["DATABASE_PORT"] = str(values["database"])


def start_munge(running: Daemons) -> None:
    munge = running.place / "munge"
    running.start("munged", "--foreground", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket",
                  f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed")  # fmt: skip
    wait_for("munge", (munge / "socket").exists)


def start_accounting(running: Daemons) -> None:
    data, port = running.place / "database", os.environ["DATABASE_PORT"]
    at = ("--no-defaults", f"--socket={data}/socket")
    subprocess.run(["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db",
                    "--auth-root-authentication-method=normal"], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    running.start("mariadbd", *at, "--user=root", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1",
                  f"--pid-file={data}/pid")  # fmt: skip
    wait_for("the database", lambda: succeeds("mariadb", *at, "-e", "select 1"))
    access = "create database slurm; create user slurm@'%' identified by 'slurm'; grant all on slurm.* to slurm@'%'"
    subprocess.run(["mariadb", *at, "-e", access], check=True)
    running.start("slurmdbd", "-D")
    wait_for("the accounting", lambda: succeeds("sacctmgr", "-n", "list", "cluster"))


def start_slurm(running: Daemons) -> None:
    subprocess.run(["sacctmgr", "-i", "add", "cluster", "test"], check=True, stdout=subprocess.DEVNULL)
    running.start("slurmctld", "-D")
    running.start("slurmd", "-D", "-N", "node")
    wait_for("the node", lambda: "idle" in output("sinfo", "-h", "-o", "%t"))


def output(*command: str) -> str:
    """What a command says; nothing where it fails, which on a busy machine is no reason to stop."""
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT).stdout


# --- the documented line


def documented(profile: str) -> list[str]:
    """The README's line for Slurm, for this profile, with one core a notebook: the node has two."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    line = re.search(r"^\.venv/bin/python (-m scene_utils report .*--executor slurm.*)$", text, flags=re.MULTILINE)[1]
    line = line.replace("--profile full", f"--profile {profile}").replace("execute=8", "execute=1")
    # for the test only: look sooner whether a job has ended
    return [sys.executable, *shlex.split(line), "--slurm-init-seconds-before-status-checks", "5"]


def refused(because: str, *options: str) -> None:
    """The line ends at once, with one line that names what is missing."""
    done = subprocess.run([*documented("sample"), *options], cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and because in done.stderr, done
    print(f"refused: {done.stderr}", end="", flush=True)


def kill(job: str) -> None:
    """Kill all processes of a job, as a system does that has run out of memory."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SLURM_JOB_ID") == job:
                process.kill()


def run_and_kill_one(place: Path) -> None:
    """The series on the sample: two notebooks at once; one job is killed in the middle of a training."""
    runs = place / "runs"
    variables = {"ONLY": os.environ.get("ONLY") or "01_data 02_lenet"}
    log = place / "series.log"
    environment = os.environ | variables
    with log.open("w") as file:
        series = subprocess.Popen(documented("sample"), cwd=PROJECT, stdout=file, stderr=file, env=environment)
    at_once, killed, end = 0, "", time.monotonic() + LIMIT
    try:
        while series.poll() is None and time.monotonic() < end:
            jobs = output("squeue", "-h", "-t", "running", "-o", "%i %k").splitlines()  # number, comment
            at_once = max(at_once, len(jobs))
            training = list((runs / "checkpoints").glob("lenet.sample.s0.*.pt"))
            lenet = [job.split()[0] for job in jobs if "02_lenet" in job]
            if training and lenet and not killed:
                killed = lenet[0]
                kill(killed)
                before = torch.load(training[0], weights_only=True)["history"]["epochs"]
            time.sleep(0.2)
    finally:
        series.kill()
    text = log.read_text()
    print(text, end="", flush=True)
    assert series.wait() == 0 and (runs / "sample" / "report.html").exists(), "the series did not end"
    assert at_once >= 2, "never two notebooks at once"
    states = output("sacct", "-n", "-X", "-P", "--format=JobID,State,Comment").split()
    print(f"two jobs at once; job {killed} was killed; accounting: {len(states)} jobs", flush=True)
    assert killed, "no job was killed: LeNet trained too fast"
    after = json.loads((runs / "results" / "lenet.sample.s0.json").read_text())["history"]
    assert [row["seconds"] for row in before] == [row["seconds"] for row in after[: len(before)]], "it began anew"
    print(f"the second job went on after epoch {len(before)} of {len(after)}", flush=True)


def run_without_network(place: Path) -> None:
    """The real dataset, fetched here, in a job that cannot reach anything."""
    cache = {"SCENE_CACHE_DIR": str(place / "cache")}
    fetch = [sys.executable, "-m", "scene_utils", "fetch"]
    fetched = subprocess.run(fetch, cwd=PROJECT, env=os.environ | cache, capture_output=True, text=True, timeout=LIMIT)
    if fetched.returncode != 0:
        print(f"left out, the dataset cannot be fetched here: {fetched.stderr}", end="", flush=True)
        return
    variables = {name: value for name, value in os.environ.items() if name != "SCENE_DATA_URL"} | cache
    variables |= {"ONLY": "01_data"}
    done = subprocess.run(documented("short"), cwd=PROJECT, env=variables, timeout=LIMIT)
    assert done.returncode == 0, "the job did not find the dataset"
    print("without network: 01_data on the dataset fetched before", flush=True)


def main() -> None:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        sys.exit(f"not found: {', '.join(missing)}; apt-get install slurm-wlm munge slurmdbd mariadb-server")
    if os.geteuid() != 0:
        sys.exit("the daemons of this test are started by root; call it as root, in a container for example")
    with tempfile.TemporaryDirectory(prefix="scene-slurm-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        place.chmod(0o755)  # munge refuses a socket that others cannot reach
        with Daemons(place) as running:
            configure(place)
            start_munge(running)
            refused("Slurm refuses accounting")
            start_accounting(running)
            start_slurm(running)
            refused("Slurm refuses a first job", "--default-resources", "slurm_account=unknown")
            run_and_kill_one(place)
            run_without_network(place)
    print("the cluster's line works", flush=True)


if __name__ == "__main__":
    main()
