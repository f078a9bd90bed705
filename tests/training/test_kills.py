"""A kill at any operation on files leaves a run that goes on bit for bit, or none: the same command works again.

The tests run in one child interpreter each, which forks for every point: `KILL_POINTS=all` tries every one of them.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
HELPERS = Path(__file__).parent.parent / "helpers"

SHARED = """
import os, shutil, sys
from pathlib import Path
import numpy as np
import torch
torch.set_num_threads(1)
from killed import in_child, leftovers, points
from unbraid.data import store
from unbraid.data.sequences import Sequences

folder = Path(sys.argv[1]).resolve()

def sampled(count, several):
    return range(1, count + 1) if os.environ.get("KILL_POINTS") == "all" else points(count, several)
"""

TRAINING = """
import csv
from safetensors.torch import load_file
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.run_folder import is_finished

SETTINGS = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}
training = TrainingConfig(
    max_epochs=2, batch_size=8, log_every_steps=1, checkpoint_minutes=1e-9, track_information=True, device="cpu"
)
x = np.random.default_rng(0).random((20, 3, 5), dtype=np.float32)
data = Sequences.from_arrays(x, name="noise", feature_names=tuple("abcde"))

def train(run):
    fit(data, "dbse", folder=run, settings=SETTINGS, training=training, quiet=True)

def result(run):
    weights = load_file(run / "model" / "model.safetensors")
    with open(run / "metrics.csv", encoding="utf-8") as file:
        rows = [{k: v for k, v in row.items() if k not in ("seconds", "sequences_per_second")} for row in csv.DictReader(file)]
    return {name: value.numpy().tobytes() for name, value in weights.items()}, rows

whole = folder / "whole"
train(whole)
expected = result(whole)
files = sorted(str(p.relative_to(whole)) for p in whole.rglob("*"))
count = in_child(lambda: train(folder / "counted"), folder)
assert count > 50, count
states = set()
for point in sampled(count, 24):
    run = folder / f"run{point}"
    assert in_child(lambda: train(run), folder, point) is None, point
    if not run.exists():
        states.add("none")
        in_child(lambda: train(run), folder)
    elif is_finished(run):
        states.add("finished")
    else:
        states.add("to resume")
        # The training that goes on is killed as well, at a point of its own.
        in_child(lambda: resume(run, data, quiet=True), folder, 1 + point % 7)
        in_child(lambda: resume(run, data, quiet=True), folder)
    assert result(run) == expected, point
    present = sorted(str(p.relative_to(run)) for p in run.rglob("*"))
    assert present == files, (point, present)
    assert not leftovers(run), point
    shutil.rmtree(run)
print(count, sorted(states))
"""

PREPARATION = """
SHAPE = (6, 4, 3, 16, 16)

def build(space):
    x = space.create(SHAPE)
    x[:] = np.arange(x.size).reshape(SHAPE) % 251
    return Sequences(x, "toy")

def prepare(cache):
    return store.prepared("toy", {"a": 1}, build, cache)

expected = prepare(folder / "whole")
count = in_child(lambda: prepare(folder / "counted"), folder)
assert count > 10, count
for point in range(1, count + 1):
    cache = folder / f"cache{point}"
    assert in_child(lambda: prepare(cache), folder, point) is None, point
    again = prepare(cache)
    assert again.fingerprint == expected.fingerprint and np.array_equal(again.x, expected.x), point
    assert not leftovers(cache), point
    assert len([p for p in cache.iterdir() if p.is_dir()]) == 1, point
"""

ENCODING = """
from unbraid.cli import main
from unbraid.training import TrainingConfig, fit

x = np.random.default_rng(0).random((20, 3, 5), dtype=np.float32)
np.save(folder / "x.npy", x)
settings = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}
training = TrainingConfig(max_epochs=1, batch_size=8, device="cpu")
data = Sequences.from_arrays(x)
run = fit(data, "dbse", folder=folder / "run", settings=settings, training=training, quiet=True).folder

def encode(output, *more):
    assert main(["encode", str(run), str(folder / "x.npy"), "--output", str(output), *more]) == 0

for ending in ("npz", "h5"):
    encode(folder / f"whole.{ending}")
    expected = (folder / f"whole.{ending}").read_bytes()
    for before in (None, b"older"):
        place = folder / f"{ending}-{before}"
        place.mkdir()
        count = in_child(lambda: encode(place / f"counted.{ending}"), place)
        assert count >= 4, count
        for point in range(1, count + 1):
            output = place / f"codes{point}.{ending}"
            more = ["--force"] * (before is not None)
            if before is not None:
                output.write_bytes(before)
            assert in_child(lambda: encode(output, *more), place, point) is None, point
            left = output.read_bytes() if output.exists() else None
            assert left in (before, expected), point
            if left != expected:
                in_child(lambda: encode(output, *more), place)
            assert output.read_bytes() == expected, point
            assert not [path for path in leftovers(place) if path.name.startswith(f".{output.stem}.")], point

def content(output):
    return {path.name: path.read_bytes() for path in output.iterdir() if path.name != ".lock"}

def written(output):
    return {path.name: path.stat().st_ino for path in output.glob("shard-*")} if output.exists() else {}

def encode_shards(output):
    encode(output, "--shard", "6")

encode_shards(folder / "whole")
expected = content(folder / "whole")
place = folder / "shards"
place.mkdir()
count = in_child(lambda: encode_shards(place / "counted"), place)
assert count >= 20 and len(expected) == 5, (count, len(expected))
for point in sampled(count, 10):
    output = place / f"codes{point}"
    assert in_child(lambda: encode_shards(output), place, point) is None, point
    before = written(output)
    in_child(lambda: encode_shards(output), place)
    assert content(output) == expected, point
    after = written(output)
    assert {name: after[name] for name in before} == before, point
"""


@pytest.mark.parametrize("work", [TRAINING, PREPARATION, ENCODING], ids=["training", "preparation", "encode"])
def test_killed_at_operations_on_files(work, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SHARED + work), encoding="utf-8")
    place = tmp_path / "place"
    place.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HELPERS), *sys.path])}
    done = subprocess.run(
        [sys.executable, script, place], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    if work is TRAINING:
        assert "['finished', 'none', 'to resume']" in done.stdout
