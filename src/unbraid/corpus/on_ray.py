"""Shards made by workers of Ray Data, on this machine or on a cluster. The only module that imports Ray.

Ray Data hands the file lists of the shards to actors, each of which holds the model, starts actors again that die, and holds back
lists while all actors are busy. The actors write the shards; all must see the same paths. An actor that starts a shard which
another one had finished before it died takes that one.
"""

import contextlib
import logging
import os
import pickle
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unbraid.corpus.encoding import Encoder, Outcome, Task
from unbraid.corpus.manifest import Plan
from unbraid.data.formats.extras import missing_extra
from unbraid.inputs import open_corpus
from unbraid.registry import DATASETS
from unbraid.training import open_run

__all__ = ["outcomes_of_ray"]

RETRIES = 3  # of a shard whose worker died: a file that ends every worker must not go round for ever
OBJECT_STORE = 128 * 2**20  # bytes, where Ray is started here; only file lists go through it
SECONDS = 10.0  # to wait for an answer of the address


class _Maker:
    """An actor: makes one shard after the other."""

    def __init__(self, run: Path, where: Mapping[str, Any], plan: Plan, folder: Path) -> None:
        opened = open_run(run, plan.device)
        self.encoder = Encoder(opened.model, open_corpus(run=opened, **where), plan, folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        """The outcome of a task. What a person has to mend comes back as an error, for Ray would try again in vain."""
        task: Task = pickle.loads(row["task"])
        try:
            entry = self.encoder.finished(task.shard)
            there = None if entry is None else Outcome(task.shard, entry, entry.left_out)
            result: Outcome | Exception = there or next(self.encoder.run([task], 1))
        except (OSError, ValueError, ImportError) as error:
            result = (
                type(error)(str(error))
                if isinstance(error, ValueError | ImportError)
                else OSError(str(error))
            )
        return {"result": pickle.dumps(result)}


def outcomes_of_ray(
    run: Path,
    where: Mapping[str, Any],
    plan: Plan,
    folder: Path,
    tasks: Sequence[Task],
    address: str | None,
    workers: int | None,
) -> Generator[Outcome, None, None]:
    """Make the shards on Ray.

    Args:
        run: folder of the run whose model encodes.
        where: the corpus, as arguments of `open_corpus`.
        plan: of the job.
        folder: of the shards.
        tasks: the shards that are to be made.
        address: of a cluster; None to start Ray here. Where the process has started Ray already, that is used.
        workers: number of actors; None for as many as the processors allow.

    Yields:
        The outcomes, in the order in which they are ready.

    Raises:
        ImportError: the extra `ray` is not installed.
        OSError: no cluster answers, the disk is full, or a worker died again and again.
    """
    ray = _ray()
    if not tasks:
        return
    where = _absolute(where)
    with _connected(ray, address):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        cores = int(ray.cluster_resources().get("CPU", 1))
        size = min(workers or max(1, cores // plan.threads), len(tasks))
        rows = [{"task": pickle.dumps(task)} for task in tasks]
        made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Maker,
            fn_constructor_args=(run.absolute(), where, plan, folder.absolute()),
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=plan.threads,
            num_gpus=1 if plan.device == "cuda" else 0,
            ray_remote_args_fn=lambda: {"max_task_retries": RETRIES},
        )
        try:
            for row in made.iter_rows():
                result = pickle.loads(row["result"])
                if isinstance(result, Exception):
                    raise result
                yield result
        except ray.exceptions.RayError as error:
            first = str(error).strip().partition("\n")[0]
            raise OSError(f"ray: {first}. Finished shards are kept; give the same command again") from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing_extra("--engine ray", "ray") from error
    return ray


@contextlib.contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Use the Ray that this process has started, or join a cluster, or start Ray here; leave it as it was."""
    if ray.is_initialized():
        yield
        return
    options = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
        ray.init(address="local", _node_ip_address="127.0.0.1", **options)
    else:
        _require_answer(address)
        try:
            ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise OSError(
                f"address: what answers at {address} is no Ray cluster that can be joined ({error})"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Refuse an address at which nothing listens, for Ray itself waits long."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"address: {address} is none; write HOST:PORT, or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except OSError as error:
        raise OSError(
            f"address: no Ray cluster answers at {address} ({error}); start it with `ray start --head`, or leave --address out to "
            "start Ray on this machine"
        ) from error


def _absolute(where: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `open_corpus` with paths as the actors see them, who have another working folder."""
    places = {name: where[name] for name in ("root", "cache") if where[name] is not None}
    if where["text"] not in DATASETS:
        places["text"] = where["text"]
    return {**where, **{name: str(Path(place).expanduser().absolute()) for name, place in places.items()}}
