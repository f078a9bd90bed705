"""Two processes that pool their batches have the gradients of one process with the whole batch."""

import os
import socket
import subprocess
import sys
import textwrap

import torch

from unbraid.models.build import build_model
from unbraid.objectives.contrast import gather_processes
from unbraid.testing import tiny_batch

SETTINGS = {
    "static_size": 3,
    "dynamic_size": 2,
    "features": 6,
    "width": 4,
    "hidden": 5,
    "compare": "all_processes",
}
BATCH = 8


def model_and_batch():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("c_dsvae", (7,), **SETTINGS)
    return model, tiny_batch((7,), BATCH, 4, views=model.views)


def part_of(batch, rows):
    from unbraid.types import Batch, View

    views = {name: View(view.x[rows], None, view.order[rows] if view.order is not None else None)
             for name, view in batch.views.items()}  # fmt: skip
    return Batch(batch.x[rows], views=views, dataset_size=batch.dataset_size)


class SameNoise:
    """Draws are the means, so that both sides have the same codes."""

    def __enter__(self):
        import unbraid.types as types

        self.types, self.draw = types, types.draw
        types.draw = lambda distribution, generator=None: distribution.mean

    def __exit__(self, *_):
        self.types.draw = self.draw


def gradients(model, batch):
    with SameNoise():
        terms = model.terms(batch)
    names = ("contrastive_static", "contrastive_dynamic", "mi_static_dynamic", "kl_static")
    sum(terms[name].mean() for name in names).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def work(rank, port, path):
    """What each of the two processes does."""
    import torch.distributed as dist

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    model, batch = model_and_batch()
    half = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    found = gradients(model, part_of(batch, half))
    for gradient in found.values():  # what DistributedDataParallel does
        dist.all_reduce(gradient)
        gradient /= 2
    joined = gather_processes(torch.full((1, 2), float(rank)))
    assert joined.tolist() == [[0.0, 0.0], [1.0, 1.0]]
    if rank == 0:
        torch.save(found, path)
    dist.destroy_process_group()


def test_gradients_of_two_processes_equal_those_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = tmp_path / "work.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import torch
        torch.set_num_threads(1)
        from test_gather import work
        work(int(sys.argv[1]), {port}, {str(tmp_path / "gradients.pt")!r})
        """)
    )
    both = [subprocess.Popen([sys.executable, script, str(rank)]) for rank in (0, 1)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    found = torch.load(tmp_path / "gradients.pt", weights_only=True)
    expected = gradients(*model_and_batch())
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6)
    model, batch = model_and_batch()
    model.compare = "process"
    apart = gradients(model, part_of(batch, slice(0, BATCH // 2)))
    assert any(not torch.allclose(apart[name], expected[name], rtol=1e-2) for name in apart)


def test_one_process_keeps_what_it_has():
    x = torch.rand(3, 2)
    assert gather_processes(x) is x
