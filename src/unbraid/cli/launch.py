"""Start a command in several processes of this machine, with torch's `torchrun`."""

import logging
import os
from collections.abc import Sequence

__all__ = ["launch", "needs_launch"]


def needs_launch(devices: int | None) -> bool:
    """Whether more processes are wanted than the one that this is, and nobody has started them."""
    from unbraid.processes import is_launched

    return (devices or 1) > 1 and not is_launched()


def launch(words: Sequence[str], devices: int, device: str) -> int:
    """Run `unbraid` with these words in several processes, which share the cores.

    Args:
        words: of the command.
        devices: how many processes.
        device: "cpu" or "cuda".

    Returns:
        The exit code: 128 + the signal's number after a signal, otherwise that of the first process that failed.

    Raises:
        ValueError: there are fewer cores, or GPUs.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    from unbraid.processes import check_devices, cores

    check_devices(devices, device)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // devices)))
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # each process has said what is wrong
    try:
        # Without `--`, torchrun takes `--run` for an option of its own.
        torchrun([f"--nproc-per-node={devices}", "--standalone", "-m", "--", "unbraid", *words])
    except SignalException as stop:
        return 128 + int(stop.sigval)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    return 0
