"""Scripts that several processes of this machine run together, as `torchrun` would start them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(script: Path, *arguments: object, count: int = 2, **options) -> list[subprocess.Popen]:
    """Start a script in several processes; they share a group over the loopback interface."""
    port, processes = free_port(), []
    paths = [str(TESTS / "helpers"), os.environ.get("PYTHONPATH", "")]
    for rank in range(count):
        group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        variables = {name: str(value) for name, value in (group | address).items()}
        processes.append(
            subprocess.Popen(
                [sys.executable, script, *map(str, arguments)],
                env=os.environ | variables | {"PYTHONPATH": os.pathsep.join(paths)},
                **options,
            )
        )
    return processes


def together(script: Path, *arguments: object, count: int = 2) -> list[str]:
    """Run a script in several processes; what each wrote to its standard error."""
    processes = start(script, *arguments, count=count, stderr=subprocess.PIPE, text=True)
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * count, "\n".join(errors)
    return errors
