"""Workers of Ray write the shards of one process, also when one of them is killed; what a person must mend is one error."""

import errno
import os
import pickle
import signal
import socket
import sys
import threading
import time

import pytest
from ray_workers import workers_of_ray
from sound_corpus import write_run, write_sounds

from unbraid.cli import main
from unbraid.corpus import encode_corpus, on_ray
from unbraid.corpus.encoding import Outcome, Task
from unbraid.corpus.manifest import LOCK, Plan
from unbraid.inputs import open_corpus
from unbraid.training import open_run

pytest.importorskip("soundfile", reason="needs the extra audio")
OPTIONS = {"shard": 20, "batch": 8, "threads": 1, "device": "cpu"}


@pytest.fixture
def ray(monkeypatch):
    """Ray with two processors, on the loopback address."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    pytest.importorskip("ray.data", reason="needs the extra ray")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        logging_level="error",
    )
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != LOCK}


def places(folder):
    """These change when a file is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("shard-*")}


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds workers in /proc")
def test_a_killed_worker_changes_nothing(ray, run, tmp_path):
    sounds = write_sounds(tmp_path / "sounds", 500)
    encode_corpus(run, str(sounds), tmp_path / "one", **OPTIONS)
    output, seen = tmp_path / "two", {}

    def kill():
        while len(before := places(output)) < 3:
            time.sleep(0.005)
        workers = workers_of_ray()
        os.kill(workers[0], signal.SIGKILL)
        seen.update(before=before, workers=workers)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    encoded = encode_corpus(run, str(sounds), output, engine="ray", workers=2, **OPTIONS)
    killer.join()
    assert len(seen["workers"]) == 2 and 3 <= len(seen["before"]) < 25
    assert encoded.made == encoded.shards == 25 and encoded.sequences == 500
    assert contents(output) == contents(tmp_path / "one")
    now = places(output)
    assert {name: now[name] for name in seen["before"]} == seen["before"]  # none was written twice
    (output / "shard-000004.safetensors").unlink()
    again = encode_corpus(run, str(sounds), output, **OPTIONS)  # one process goes on with what workers made
    assert again.made == 1 and contents(output) == contents(tmp_path / "one")


def test_a_worker_takes_what_is_finished_and_sends_errors_back(run, tmp_path, monkeypatch):
    """The actor, without Ray: a task that is given to it again, a file that is no sound, and a full disk."""
    sounds, output = write_sounds(tmp_path / "sounds", 6), tmp_path / "codes"
    (sounds / "0" / "5.wav").write_text("no sound")
    corpus = open_corpus(str(sounds), open_run(run))
    plan = Plan("m", corpus.fingerprint, None, "safetensors", 8, 2, 3, 6, 1, "cpu", "float32")
    where = {"text": str(sounds), "steps": None, "unusable": None, "root": None, "cache": None}
    maker = on_ray._Maker(run, where, plan, output)

    def make(number):
        items = corpus.items(corpus.shards(2)[number], 8)
        return pickle.loads(maker({"task": pickle.dumps(Task(number, items))})["result"])

    first = make(0)
    assert isinstance(first, Outcome) and first.entry.sequences == 2
    before = places(output)
    assert make(0) == first and places(output) == before
    broken = make(2)
    assert broken.entry is None and len(broken.broken) == 1 and "5.wav: is damaged" in broken.broken[0]

    def full(path, shard, about):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unbraid.corpus.encoding.write_shard", full)
    error = make(1)
    assert isinstance(error, OSError) and "the disk of" in str(error)


def test_an_address_without_a_cluster_is_one_clear_error(run, tmp_path, capsys):
    pytest.importorskip("ray", reason="needs the extra ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sounds = write_sounds(tmp_path / "sounds", 2)
    words = ["encode", str(run), str(sounds), "--output", str(tmp_path / "codes"), "--engine", "ray"]
    for address, message in (
        (f"127.0.0.1:{port}", "address: no Ray cluster answers at 127.0.0.1"),
        ("head", "address: head is none; write HOST:PORT"),
    ):
        assert main([*words, "--address", address]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error
    assert not (tmp_path / "codes").exists()


def test_without_ray_the_extra_is_named(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    sounds = write_sounds(tmp_path / "sounds", 2)
    output = tmp_path / "codes"
    assert main(["encode", str(run), str(sounds), "--output", str(output), "--engine", "ray"]) == 2
    assert "--engine ray needs the extra `ray`" in capsys.readouterr().err and not output.exists()
