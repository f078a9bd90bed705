import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from unbraid.data import store
from unbraid.data.sequences import Label, Sequences
from unbraid.files import with_checksum

SHAPE = (6, 4, 3, 16, 16)


def build(space):
    x = space.create(SHAPE)
    for row in range(len(x)):
        x[row] = np.random.default_rng(row).integers(0, 256, SHAPE[1:])
        space.advance(row + 1, len(x))
    labels = {
        "who": Label(np.arange(6) % 2, ("ann", "bob"), "static"),
        "motion": Label(np.arange(6) % 3, ("a", "b", "c"), "dynamic"),
        "part": Label(np.zeros(6, int), ("z",), "dynamic", part_of="motion"),
    }
    splits = {"train": np.arange(4), "validation": np.array([4]), "test": np.array([5])}
    return Sequences(x, "toy", lengths=np.array([4, 4, 3, 4, 2, 4]), labels=labels, splits=splits)


def refuse(space):
    raise AssertionError("the cache should have been used")


def entries(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def only(folder):
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def test_a_second_start_reuses_the_cache(tmp_path):
    made = store.prepared("toy", {"size": 16}, build, tmp_path)
    found = store.prepared("toy", {"size": 16}, refuse, tmp_path)
    assert isinstance(found.x, np.memmap) and not found.x.flags.writeable
    assert found.fingerprint == made.fingerprint
    assert np.array_equal(found.x[5], np.random.default_rng(5).integers(0, 256, SHAPE[1:]))
    assert found.lengths.tolist() == [4, 4, 3, 4, 2, 4]
    assert {name: rows.tolist() for name, rows in found.splits.items()} == {
        "train": [0, 1, 2, 3],
        "validation": [4],
        "test": [5],
    }
    part = found.labels["part"]
    assert (part.classes, part.kind, part.part_of) == (("z",), "dynamic", "motion")
    assert found.labels["who"].values.tolist() == [0, 1, 0, 1, 0, 1]
    assert sorted(p.name for p in only(tmp_path).iterdir()) == ["arrays.npz", "meta.json", "x.npy"]


def test_the_stored_fingerprint_is_that_of_the_arrays(tmp_path):
    found = store.prepared("toy", {}, build, tmp_path)
    again = Sequences(np.array(found.x), "toy", found.lengths, None, found.labels, found.splits)
    assert again.fingerprint == found.fingerprint


def test_vectors_with_masks_need_no_create(tmp_path):
    x = np.random.default_rng(0).normal(size=(5, 3, 2))
    mask = np.ones(x.shape, dtype=bool)
    x[0, 0, 0], mask[0, 0, 0] = np.nan, False
    own = Sequences.from_arrays(x, mask=mask, feature_names=("a", "b"), units=("m", "s"), sampling_rate=0.5)
    found = store.prepared("own", {}, lambda space: own, tmp_path)
    assert np.array_equal(found.x, x, equal_nan=True) and np.array_equal(found.mask, mask)
    assert (found.feature_names, found.units, found.sampling_rate) == (("a", "b"), ("m", "s"), 0.5)


def test_options_and_versions_have_folders_of_their_own(tmp_path):
    store.prepared("toy", {"size": 16}, build, tmp_path)
    assert store.stored("toy", {"size": 16}, tmp_path)
    assert not store.stored("toy", {"size": 32}, tmp_path)
    assert not store.stored("toy", {"size": 16}, tmp_path, version=2)
    store.prepared("toy", {"size": 16}, build, tmp_path, version=2)
    assert len(entries(tmp_path)) == 2


def test_the_cache_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "variable"))
    assert store.cache_folder() == tmp_path / "variable"
    assert store.cache_folder(tmp_path / "argument") == tmp_path / "argument"
    monkeypatch.delenv("UNBRAID_CACHE")
    assert "unbraid" in str(store.cache_folder())


def truncate(folder):
    os.truncate(folder / "x.npy", 1000)


def cut_meta(folder):
    os.truncate(folder / "meta.json", 40)


def forget(folder):
    (folder / "arrays.npz").unlink()


def flip(folder):
    path = folder / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def change_one_value(folder):
    """As an editor or a failing disk would: neither size nor time tells."""
    status = (folder / "x.npy").stat()
    with open(folder / "x.npy", "r+b") as file:
        file.seek(-100, os.SEEK_END)
        value = file.read(1)
        file.seek(-100, os.SEEK_END)
        file.write(bytes([value[0] ^ 1]))
    os.utime(folder / "x.npy", ns=(status.st_atime_ns, status.st_mtime_ns))


def rename_a_class(folder):
    text = (folder / "meta.json").read_text()
    (folder / "meta.json").write_text(text.replace('"ann"', '"amm"'))


def swap_shape(folder):
    np.save(folder / "x.npy", np.zeros((6, 4, 3, 16, 16)[::-1], np.uint8))


def age(folder):
    meta = json.loads((folder / "meta.json").read_text())
    meta.pop("checksum")
    (folder / "meta.json").write_text(json.dumps(with_checksum(meta | {"store_version": 0})))


@pytest.mark.parametrize(
    "damage", [truncate, cut_meta, forget, flip, change_one_value, rename_a_class, swap_shape, age]
)
def test_a_damaged_cache_is_built_again(tmp_path, damage):
    made = store.prepared("toy", {}, build, tmp_path)
    damage(only(tmp_path))
    assert not store.stored("toy", {}, tmp_path)
    with pytest.warns(UserWarning, match="damaged or from another version; building it again"):
        again = store.prepared("toy", {}, build, tmp_path)
    assert again.fingerprint == made.fingerprint
    assert store.prepared("toy", {}, refuse, tmp_path).fingerprint == made.fingerprint
    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, failure):
    def fail(space):
        space.create(SHAPE)[:] = 1
        raise failure

    with pytest.raises(failure):
        store.prepared("toy", {}, fail, tmp_path)
    assert entries(tmp_path) == []
    assert len(store.prepared("toy", {}, build, tmp_path)) == 6


def test_too_little_room_is_seen_before_writing(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3 * 2**20))
    with pytest.raises(
        OSError, match=r"disk of .* is full: .*1,000 MB are needed and 3 MB are free.*UNBRAID_CACHE"
    ):
        store.prepared("toy", {}, lambda space: space.create((1000, 1024, 1, 32, 32)), tmp_path)
    assert entries(tmp_path) == []


def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    def fail(space):
        space.create(SHAPE)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"disk of .* is full: .*UNBRAID_CACHE or --data.cache") as caught:
        store.prepared("toy", {}, fail, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert entries(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs posix_fallocate")
def test_room_is_reserved_before_the_file_is_mapped(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="is full"):
        store.prepared("toy", {}, build, tmp_path)
    assert entries(tmp_path) == []


def test_room_is_reserved_by_writing_where_the_system_cannot(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    seen = {}

    def look(space):
        x = space.create(SHAPE)
        seen["blocks"] = (space.folder / "x.npy").stat().st_blocks
        x[:] = 7
        return Sequences(x, "toy")

    found = store.prepared("toy", {}, look, tmp_path)
    assert seen["blocks"] * 512 >= np.prod(SHAPE)
    assert (found.x == 7).all()


KILLED = """
import sys, time
from unbraid.data import store
def build(space):
    space.create((6, 4, 3, 16, 16))[:] = 1
    print("building", flush=True)
    time.sleep(600)
store.prepared("toy", {}, build, sys.argv[1])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file locks")
def test_what_a_killed_process_leaves_is_cleared(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "building\n"
        child.send_signal(signal.SIGKILL)
    assert len(entries(tmp_path)) == 1 and entries(tmp_path)[0].endswith(".partial")
    assert not store.stored("toy", {}, tmp_path)
    assert len(store.prepared("toy", {}, build, tmp_path)) == 6
    assert entries(tmp_path) == [only(tmp_path).name]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file locks")
def test_of_two_that_want_the_same_data_one_builds(tmp_path):
    building = threading.Event()

    def slow(space):
        building.set()
        time.sleep(0.5)
        return build(space)

    with ThreadPoolExecutor(1) as other:
        made = other.submit(store.prepared, "toy", {}, slow, tmp_path)
        building.wait()
        assert not store.stored("toy", {}, tmp_path)
        assert store.prepared("toy", {}, refuse, tmp_path).fingerprint == made.result().fingerprint


def test_opening_does_not_read_the_frames(tmp_path):
    def large(space):
        x = space.create((4000, 8, 3, 32, 32))
        return Sequences(x, "large")

    store.prepared("large", {}, large, tmp_path)
    start = time.process_time()
    found = store.prepared("large", {}, refuse, tmp_path)
    opening = time.process_time() - start
    start = time.process_time()
    Sequences(found.x, "large")
    assert opening < (time.process_time() - start) / 2


def test_a_large_file_that_was_changed_is_built_again(tmp_path):
    """A change between the parts that are checked is seen by the file's time; a copy with another time is no change."""

    def large(space):
        space.create((1000, 8, 3, 32, 32))[:] = 7
        return Sequences(space.x, "large")

    store.prepared("large", {}, large, tmp_path)
    path = only(tmp_path) / "x.npy"
    time_of_build = path.stat().st_mtime_ns
    os.utime(path, ns=(0, 10**18))
    assert store.stored("large", {}, tmp_path)
    assert path.stat().st_mtime_ns == time_of_build, "it would be read whole whenever it is opened"
    with open(path, "r+b") as file:
        file.seek(3 * 2**16)
        file.write(b"8")
    assert not store.stored("large", {}, tmp_path)


PUBLISHED = {"files": "hash of b"}


def from_published(cache, root=None, asked=None):
    """A data set whose raw file is `raw`, published with the content "b"."""

    def digest(folder):
        store.require_files("toy", [folder / "raw", folder / "more"])
        if asked is not None:
            asked.append(folder)
        return f"hash of {(folder / 'raw').read_text()}"

    def build_from(space, folder):
        data = build(space)
        space.x[0, 0, 0, 0, 0] = ord((folder / "raw").read_text()[0])
        return data

    return store.from_published("toy", {"size": 16}, PUBLISHED, digest, build_from, root, cache)


def write_raw(folder, text):
    folder.mkdir(parents=True)
    (folder / "raw").write_text(text)
    (folder / "more").write_text("")
    return folder


def test_published_files_are_needed_once(tmp_path, recwarn):
    folder = write_raw(store.download_folder("toy", tmp_path / "cache"), "b")
    asked = []
    first = from_published(tmp_path / "cache", asked=asked)
    assert first.x[0, 0, 0, 0, 0] == ord("b") and asked == [folder] and not recwarn.list
    shutil.rmtree(folder)
    assert from_published(tmp_path / "cache", asked=asked).fingerprint == first.fingerprint
    assert asked == [folder]
    # The same files in another folder are the same data set.
    other = write_raw(tmp_path / "own", "b")
    assert from_published(tmp_path / "cache", other).fingerprint == first.fingerprint and not recwarn.list
    assert len(list((tmp_path / "cache").glob("toy-*"))) == 1


def test_other_files_than_the_published_ones_are_another_data_set(tmp_path):
    write_raw(tmp_path / "own", "c")
    write_raw(store.download_folder("toy", tmp_path / "cache"), "b")
    published = from_published(tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"own are not the published ones; scores do not compare"):
        other = from_published(tmp_path / "cache", tmp_path / "own")
    assert (published.x[0, 0, 0, 0, 0], other.x[0, 0, 0, 0, 0]) == (ord("b"), ord("c"))


def test_missing_raw_files_are_named_with_the_fix(tmp_path):
    fix = r"run `unbraid data fetch toy`, or pass the --data\.root"
    with pytest.raises(FileNotFoundError, match=rf"root: there is no folder .*downloads.toy .*; {fix}"):
        from_published(tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match=rf"root: there is no folder .*nowhere .*; {fix}"):
        from_published(tmp_path / "cache", tmp_path / "nowhere")
    (write_raw(tmp_path / "own", "b") / "more").unlink()
    with pytest.raises(FileNotFoundError, match=rf"no file .*more \(1 of the 2 files are missing\); {fix}"):
        from_published(tmp_path / "cache", tmp_path / "own")
    assert not list(tmp_path.rglob("toy-*"))
