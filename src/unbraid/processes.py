"""Several processes that train one model together: who this one is, and how they agree and add up.

Outside of a group of processes every function here returns what it was given. A group is joined from the variables that
`torchrun` sets (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`).
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "ALONE",
    "Process",
    "after_first",
    "check_alike",
    "check_devices",
    "cores",
    "from_first",
    "gather",
    "is_launched",
    "joined",
    "largest",
    "mean_over_processes",
    "processes_here",
    "sum_over_processes",
    "this_process",
]

T_ = TypeVar("T_")


class Process(NamedTuple):
    """One of several processes.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1  # type: ignore[assignment]  # not the method of tuples

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes files and prints."""
        return self.rank == 0

    def share(self, sequences: int) -> int:
        """How many of a batch's sequences each process has.

        Raises:
            ValueError: they cannot be shared evenly.
        """
        if sequences % self.count:
            raise ValueError(
                f"training.batch_size: {sequences} sequences a step cannot be shared evenly by {self.count} processes; "
                f"give a multiple of {self.count}"
            )
        return sequences // self.count


ALONE = Process()
"""A process that trains by itself."""


def this_process() -> Process:
    """This process's place in its group; the only one where there is none."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return Process(dist.get_rank(), dist.get_world_size())


def is_launched() -> bool:
    """Whether this process was started as one of a group, by `torchrun`."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def processes_here() -> int:
    """How many processes `torchrun` started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def check_devices(processes: int, device: str) -> None:
    """Refuse more processes on this machine than it has GPUs, or cores where they compute on a CPU.

    Raises:
        ValueError: names both numbers.
    """
    there = torch.cuda.device_count() if device == "cuda" else cores()
    if processes > there:
        what = "CUDA devices" if device == "cuda" else "cores"
        raise ValueError(
            f"training.devices: {processes} processes on this machine, which has {there} {what}; start at most {there}"
        )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def joined(device: str) -> Iterator[Process]:
    """Be in the group of processes that `torchrun` started inside the block; a group that is joined already stays.

    Args:
        device: "cpu" or "cuda", where tensors live. Each process of a machine uses the GPU of its number.

    Raises:
        ValueError: there are more processes on this machine than GPUs, or cores.
    """
    if not is_launched() or dist.is_initialized():
        yield this_process()
        return
    check_devices(processes_here(), device)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        yield this_process()
    finally:
        dist.destroy_process_group()


# ---- agreement ------------------------------------------------------------------------------------------


def from_first(make: Callable[[], T_]) -> T_:
    """What the first process makes, or the error that it meets, in every process; the others do not call `make`."""
    process = this_process()
    if process.count == 1:
        return make()
    message: list[Any] = [None, None]
    failed: BaseException | None = None
    if process.is_first:
        try:
            message[0] = make()
        except Exception as error:
            failed = error
            message[1] = (type(error), [str(error)])
    dist.broadcast_object_list(message, src=0)
    if failed is not None:
        raise failed
    if message[1] is not None:
        kind, arguments = message[1]
        try:
            again = kind(*arguments)
        except TypeError:  # it takes more than a text
            again = RuntimeError(f"{kind.__name__}: {arguments[0]}")
        raise again
    return message[0]


def after_first(make: Callable[[], T_]) -> T_:
    """What each process makes, the first before the others, so that they find the files that it prepares."""
    made: list[T_] = []
    from_first(lambda: made.append(make()))
    return made[0] if made else make()


def largest(value: float) -> float:
    """The largest of the processes' values, so that all decide alike."""
    if this_process().count == 1:
        return value
    shared = torch.tensor(float(value), dtype=torch.float64)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return shared.item()


def check_alike(what: Mapping[str, Any]) -> None:
    """Refuse a group whose processes differ in data, settings or versions.

    Args:
        what: the values that must be the same, by name.

    Raises:
        ValueError: names the first that differs, and its values; in every process.
    """
    process = this_process()
    if process.count == 1:
        return
    every: list[Any] = [None] * process.count
    dist.all_gather_object(every, dict(what))
    for name in what:
        values = {str(other[name]): rank for rank, other in reversed(list(enumerate(every)))}
        if len(values) > 1:
            found = ", ".join(f"{value} in process {rank}" for value, rank in values.items())
            raise ValueError(
                f"{name}: differs between the processes that are to train together ({found}); "
                "start all of them with the same command, data and versions"
            )


# ---- sums -----------------------------------------------------------------------------------------------


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of the processes' tensors, without gradients."""
    if this_process().count == 1:
        return x
    x = x.detach().clone()
    dist.all_reduce(x)
    return x


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of the processes' tensors, without gradients."""
    count = this_process().count
    return x if count == 1 else sum_over_processes(x) / count


def gather(x: Float[Tensor, "B *X"]) -> Float[Tensor, "M *X"]:
    """The x of all processes, joined in the order of their ranks; each gradient returns to its process.

    A term that every process computes on the joined batch, averaged by DistributedDataParallel, has the gradients of one
    process with the whole batch. All batches must have the same size. Where no gradients are computed, as in validation,
    x is returned as it is: a batch of validation belongs to one process.
    """
    if this_process().count == 1 or not torch.is_grad_enabled():
        return x
    return _Gather.apply(x)


class _Gather(torch.autograd.Function):
    """All-gather; the gradient of a process's part is the sum of all processes' gradients of that part."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        x = x.contiguous()
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]
