"""Device, precision and processes, as Hugging Face Accelerate finds them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator

from scene_utils.support import settings
from scene_utils.support.settings import SceneError


def accelerator(curves: str | None = None) -> Accelerator:
    """Return the ``Accelerator`` that knows the device and the other processes; precision is not its business.

    Accelerate holds one precision per process, and a notebook may train with two (``autocast``, ``grad_scaler``).

    Args:
        curves: name of a run whose curves TensorBoard shows, where ``SCENE_TENSORBOARD`` asks for them.

    Raises:
        SceneError: where ``SCENE_DEVICE`` names a GPU and there is none.
    """
    choice = settings.choice("SCENE_DEVICE")
    if choice == "cuda" and not torch.cuda.is_available():
        raise SceneError("SCENE_DEVICE is cuda, but torch finds no GPU; choose auto or cpu")
    cpu = choice == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    tracked = curves is not None and settings.tensorboard()
    tracker = {"log_with": "tensorboard", "project_dir": settings.runs_dir() / "tensorboard"} if tracked else {}
    acc = Accelerator(cpu=cpu, mixed_precision="no", **tracker)
    if tracked:
        acc.init_trackers(curves)
    return acc


def precision_of(precision: str, device: torch.device) -> str:
    """Return ``float32``, ``bfloat16`` or ``float16``: what a recipe's ``precision`` means on ``device``.

    Raises:
        SceneError: for float16 on a CPU.
    """
    if device.type == "cpu" and precision == "float16":
        raise SceneError("recipe: precision 'float16' needs a GPU; choose auto, float32 or bfloat16")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float16"
    # torch before 2.9 cannot tell what the processor has
    capabilities = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Return the context in which a model computes in ``precision``."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def grad_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Return the scaler of float16's gradients; for other precisions one that changes nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def device_name(device: torch.device) -> str:
    """Name of the hardware behind ``device``, such as ``cpu (2 threads)`` or the GPU's own name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' * (threads > 1)})" if device.type == "cpu" else device.type


@cache
def processor() -> str:
    """Name of the processor, such as ``AMD EPYC 9B14``: seconds of different ones are not to be compared."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    if sys.platform == "darwin":
        named = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if named.stdout.strip():
            return named.stdout.strip()
    return platform.processor() or platform.machine()


def work_seconds(device: torch.device) -> float:
    """Return a clock of the work done: seconds of all cores together on a CPU, seconds of the GPU otherwise.

    On a CPU the threads of this process alone count, so that a training costs the same beside other work.
    """
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def work_of_others() -> tuple[float, float]:
    """Return the time, and the seconds that all cores have worked for other processes until then."""
    times = psutil.cpu_times()
    return time.monotonic(), sum(times) - times.idle - getattr(times, "iowait", 0.0) - time.process_time()


def free_threads(since: tuple[float, float] | None, limit: int) -> int:
    """Return with how many threads to train on: one for each core that other processes have left free, 1 to ``limit``.

    Two threads wait for one another, so with one core taken they fall below what one of them keeps.

    Args:
        since: ``work_of_others`` when one began to look at them; None looks for a tenth of a second.
    """
    if fixed := settings.threads():
        return fixed
    if limit == 1:
        return 1
    if since is None:
        since = work_of_others()
        time.sleep(0.1)
    seconds, work = (now - before for now, before in zip(work_of_others(), since, strict=True))
    return max(1, min(limit, round((os.cpu_count() or limit) - work / seconds)))


def keep_freed_memory() -> None:
    """Let the C library keep the memory that tensors give back, where it is glibc.

    It returns every block above 32 MB to the system, and getting the pages again takes longer than most layers'
    arithmetic: a quarter of AlexNet's training step.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library, another system
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # never map
        mallopt(-1, 2**31 - 1)  # never trim
