"""What the machine can do, and settings that let it run at full speed."""

import ctypes
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import nn

__all__ = [
    "choose_device",
    "choose_precision",
    "compiled",
    "computing_in",
    "has_bfloat16",
    "has_matrix_tiles",
    "keep_freed_memory",
    "processor_name",
    "threads_wait",
]

NO_LSTM = "primitive descriptor for the LSTM"  # in oneDNN's error
WAITING = 3.0  # times as long as one thread, from which several are said to wait


@cache
def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware (a processor that emulates it is far slower)."""
    if device.startswith("cuda"):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(_processor_words() & {"avx512_bf16", "amx_bf16", "bf16"})


@cache
def _processor_words() -> frozenset[str]:
    info = Path("/proc/cpuinfo")
    return frozenset(info.read_text(encoding="utf-8").split() if info.exists() else ())


@cache
def has_matrix_tiles() -> bool:
    """Whether the processor multiplies bfloat16 matrices in tiles (AMX), many times as fast as by vectors."""
    return "amx_bf16" in _processor_words()


def choose_device(wanted: str) -> str:
    """Turn "auto" into "cuda" where there is one, else "cpu".

    Raises:
        ValueError: CUDA is asked for and there is none.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("training.device: no CUDA device is usable here; give cpu or auto")
    return wanted


def choose_precision(wanted: str, device: str) -> torch.dtype:
    """Turn "auto" into bfloat16 where the device computes in it, else float32."""
    if wanted == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]


@contextmanager
def computing_in(precision: torch.dtype, device: str) -> Iterator[None]:
    """Have torch compute in bfloat16 inside the block where it may, if that is the precision; else change nothing.

    Args:
        precision: float32 or bfloat16.
        device: "cpu" or "cuda".

    Raises:
        ValueError: an LSTM in bfloat16, on a processor that has none (oneDNN computes them from AVX-512 on).
    """
    try:
        with torch.autocast(device, torch.bfloat16, enabled=precision == torch.bfloat16):
            yield
    except RuntimeError as error:
        if NO_LSTM not in str(error):
            raise
        raise ValueError(
            "training.precision: bfloat16 is asked for, but this processor cannot compute the model's LSTMs in it; "
            "give float32, or auto for the fastest that it can"
        ) from None


@contextmanager
def compiled(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Have the parts of a model compiled by `torch.compile` inside the block; names of parameters stay.

    Args:
        model: whose direct parts are compiled where they are called.
        wanted: False to change nothing.
    """
    parts = list(model.children()) if wanted else []
    for part in parts:
        part.compile()
    try:
        yield
    finally:
        for part in parts:
            part._compiled_call_impl = None


def processor_name() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def threads_wait() -> bool:
    """Whether other work has a processor that our threads need: then they take many times as long as one thread.

    An operation ends when the last of its threads does, and a thread that shares its processor waits for its turn each time.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return False
    try:
        return _seconds_with(threads) > WAITING * _seconds_with(1)
    finally:
        torch.set_num_threads(threads)


def _seconds_with(threads: int) -> float:
    """Seconds that some small operations take with a number of threads."""
    torch.set_num_threads(threads)
    values = torch.rand(200, 400).tanh()
    start = time.perf_counter()
    for _ in range(20):
        values.tanh()
    return time.perf_counter() - start


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of handing each large tensor back to the system.

    Otherwise every large activation is mapped, zeroed by the kernel page by page and unmapped again at each step. The
    setting holds for the whole process. Without glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 256 * 2**20)
    except (OSError, AttributeError):
        return
