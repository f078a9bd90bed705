"""A corpus is encoded to shards: the codes are the model's, and nothing is lost or made twice, whatever stops a job."""

import errno
import json
import os
import shutil
import threading
import time
from dataclasses import asdict

import numpy as np
import pytest
import torch
from sound_corpus import write_run, write_sounds

from unbraid.cli import main
from unbraid.corpus import encode_corpus, read_manifest, read_shards, shards
from unbraid.corpus.encoding import ahead
from unbraid.corpus.manifest import LOCK, MANIFEST, Entry, Manifest, Plan, shard_name
from unbraid.corpus.shards import Shard, read_shard, write_shard
from unbraid.data.formats.paths import natural_order
from unbraid.files import locked
from unbraid.inputs import MOST_VALUES, open_corpus
from unbraid.training import open_run

pytest.importorskip("soundfile", reason="needs the extra audio")
FILES, SHARD, BATCH = 25, 6, 4  # shards of 6, 6, 6, 6 and 1
OPTIONS = {"shard": SHARD, "batch": BATCH, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return write_sounds(tmp_path_factory.mktemp("sounds"), FILES)


@pytest.fixture(scope="module")
def whole(run, sounds, tmp_path_factory):
    """The shards of an undisturbed job."""
    folder = tmp_path_factory.mktemp("whole") / "codes"
    encode_corpus(run, str(sounds), folder, **OPTIONS)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != LOCK}


def places(folder):
    """These change when a file is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("shard-*")}


# ---- codes ----------------------------------------------------------------------------------------------


def test_shards_hold_the_model_s_codes_in_the_order_of_the_files(run, sounds, whole):
    """Oracle: the model on each batch that the plan names, whose files are read one by one and padded here."""
    opened = open_run(run)
    corpus = open_corpus(str(sounds), opened)
    files = sorted(sounds.rglob("*.wav"), key=lambda path: natural_order(str(path)))
    names = [file.relative_to(sounds).as_posix() for file in files]
    clips = [corpus.read(item)[0][1] for item in corpus.items(range(FILES), BATCH)]
    made = list(read_shards(whole))
    assert [len(shard.names) for shard in made] == [6, 6, 6, 6, 1]
    assert [name for shard in made for name in shard.names] == names
    for number, shard in enumerate(made):
        first = number * SHARD
        for start in range(0, len(shard.names), BATCH):
            rows = range(start, min(start + BATCH, len(shard.names)))
            batch = [torch.from_numpy(clips[first + row]) for row in rows]
            lengths = torch.tensor([len(clip) for clip in batch])
            x = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)
            same = bool((lengths == lengths.max()).all())
            mask = None if same else torch.arange(int(lengths.max())) < lengths[:, None]
            with torch.inference_mode():
                expected = opened.model.encode(x, mask)
            for place, row in enumerate(rows):
                np.testing.assert_array_equal(shard.static[row], expected.static[place])
                steps = expected.dynamic[place, : lengths[place]]
                np.testing.assert_array_equal(shards.dynamic_of(shard, row), steps)


def test_the_manifest_says_what_is_there(run, whole, sounds):
    manifest = read_manifest(whole)
    made = list(read_shards(whole))
    steps = sum(len(shard.dynamic) for shard in made)
    assert manifest["finished"] and manifest["sequences"] == FILES and manifest["plan"]["units"] == FILES
    assert manifest["arrays"] == {
        "static": {"type": "float32", "shape": [FILES, 4]},
        "dynamic": {"type": "float32", "shape": [steps, 3]},
        "lengths": {"type": "int64", "shape": [FILES]},
    }
    assert [entry["sequences"] for entry in manifest["shards"]] == [6, 6, 6, 6, 1]
    moved = open_corpus(str(shutil.copytree(sounds, whole.parent / "moved")), open_run(run))
    assert moved.fingerprint == manifest["plan"]["data"]  # of the content, not of its place
    (whole.parent / "moved" / "0" / "3.wav").write_bytes((sounds / "0" / "4.wav").read_bytes())
    assert open_corpus(str(whole.parent / "moved"), open_run(run)).fingerprint != manifest["plan"]["data"]


def test_the_same_plan_gives_the_same_bytes_in_both_formats(run, sounds, whole, tmp_path):
    encode_corpus(run, str(sounds), tmp_path / "again", workers=4, **OPTIONS)
    assert contents(tmp_path / "again") == contents(whole)
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra series")
    for name in ("p1", "p2"):
        encode_corpus(run, str(sounds), tmp_path / name, format="parquet", **OPTIONS)
    assert contents(tmp_path / "p1") == contents(tmp_path / "p2")
    table = parquet.read_table(tmp_path / "p1" / "shard-000000.parquet")
    for shard, other in zip(read_shards(tmp_path / "p1"), read_shards(whole), strict=True):
        assert shard.names == other.names
        for name, values in other.arrays().items():
            np.testing.assert_array_equal(shard.arrays()[name], values, strict=True)
    first = next(read_shards(whole))
    assert table["name"].to_pylist() == list(first.names)
    np.testing.assert_array_equal(
        np.array(table["dynamic"][1].as_py(), np.float32), shards.dynamic_of(first, 1)
    )


def test_one_file_holds_the_codes_of_all_shards(run, sounds, whole, tmp_path):
    import h5py

    for ending in ("npz", "h5"):
        encode_corpus(run, str(sounds), tmp_path / f"codes.{ending}", **OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes.h5", "codes.npz"]
    made = list(read_shards(whole))
    codes = np.load(tmp_path / "codes.npz")
    assert codes["names"].tolist() == [name for shard in made for name in shard.names]
    np.testing.assert_array_equal(codes["static"], np.concatenate([shard.static for shard in made]))
    inside = np.arange(codes["dynamic"].shape[1]) < codes["lengths"][:, None]
    np.testing.assert_array_equal(codes["dynamic"][inside], np.concatenate([shard.dynamic for shard in made]))
    assert not codes["dynamic"][~inside].any() and codes["lengths"].max() == codes["dynamic"].shape[1]
    with h5py.File(tmp_path / "codes.h5") as file:
        for name in ("static", "dynamic", "lengths"):
            np.testing.assert_array_equal(file[name], codes[name])


def test_batches_of_long_recordings_are_smaller(run, sounds):
    corpus = open_corpus(str(sounds), open_run(run))
    long = np.zeros((MOST_VALUES // 40 // 2, 40), np.float32)
    clips = [("a", long[:100]), ("b", long), ("c", long[:7]), ("d", long[:7]), ("e", long[:7])]
    parts = [names for names, _ in corpus.parts(iter([clips[:2], clips[2:]]), 2)]
    assert parts == [["a", "b"], ["c", "d"], ["e"]]
    assert [names for names, _ in corpus.parts([[("a", long), ("b", long), ("c", long)]], 3)] == [
        ["a", "b"],
        ["c"],
    ]


@pytest.mark.parametrize("ending", shards.FORMATS)
def test_shards_of_odd_codes_come_back(ending, tmp_path):
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra series")
    shard = Shard(
        ("ü/\udce9.wav", 'a"b'),
        np.zeros((2, 0), np.float32),
        np.float32([[np.pi], [2], [3]]),
        np.array([3, 0]),
        {"speaker": np.array([4, 5])},
    )
    path = tmp_path / f"shard.{ending}"
    write_shard(path, shard, {"a": 1})
    back, about = read_shard(path)
    first = "ü/\udce9.wav" if ending == "safetensors" else "ü/\\udce9.wav"
    assert back.names == (first, 'a"b') and about == {"a": 1}
    for name, values in shard.arrays().items():
        np.testing.assert_array_equal(back.arrays()[name], values, strict=True)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"shard\.\w+: is damaged or no shard"):
        read_shard(path)


# ---- jobs that stop -------------------------------------------------------------------------------------


def test_a_full_disk_loses_nothing(run, sounds, whole, tmp_path, monkeypatch, capsys):
    """The third shard meets a full disk, after half of it is written."""
    written = []

    def full(path, shard, about):
        written.append(path.name)
        if len(written) == 3:
            with shards.replacing(path) as temporary:
                temporary.write_bytes(b"half")
                raise OSError(errno.ENOSPC, "No space left on device")
        write_shard(path, shard, about)

    words = ["encode", str(run), str(sounds), "--output", str(tmp_path / "codes")]
    words += ["--shard", str(SHARD), "--batch", str(BATCH), "--device", "cpu"]
    with monkeypatch.context() as patch:
        patch.setattr("unbraid.corpus.encoding.write_shard", full)
        assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "the disk of" in error and "give the same command again" in error
    manifest = read_manifest(tmp_path / "codes")
    assert not manifest["finished"] and [entry["shard"] for entry in manifest["shards"]] == [0, 1]
    with pytest.raises(ValueError, match="its encoding is not finished"):
        next(read_shards(tmp_path / "codes"))
    before = places(tmp_path / "codes")
    assert len(before) == 2 and not list((tmp_path / "codes").glob(".*partial*"))
    assert main(words) == 0
    assert "2 of 5 shards were finished before" in capsys.readouterr().out
    assert contents(tmp_path / "codes") == contents(whole)
    assert {name: places(tmp_path / "codes")[name] for name in before} == before


def test_shards_that_the_manifest_does_not_know_are_taken_up_or_made_again(run, sounds, whole, tmp_path):
    """As after a kill: shards were finished after the manifest was written, and one was damaged since."""
    folder = tmp_path / "codes"
    shutil.copytree(whole, folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(ValueError, match=r"holds shard-\d+\.safetensors and no manifest"):
        encode_corpus(run, str(sounds), folder, **OPTIONS)
    shutil.copy(whole / MANIFEST, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["shards"] = manifest["shards"][:1]
    manifest.pop("checksum")
    (folder / MANIFEST).write_text(json.dumps(manifest))
    damaged = folder / "shard-000001.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    shutil.copy(whole / "shard-000002.safetensors", folder / "shard-000003.safetensors")
    before = places(folder)
    encoded = encode_corpus(run, str(sounds), folder, **OPTIONS)
    assert encoded.made == 2 and contents(folder) == contents(whole)
    again = {name for name, place in places(folder).items() if place != before[name]}
    assert again == {"shard-000001.safetensors", "shard-000003.safetensors"}


def test_codes_of_another_model_or_corpus_are_kept(run, sounds, whole, tmp_path, capsys):
    other, fewer = write_run(tmp_path / "other", seed=1), write_sounds(tmp_path / "fewer", 3)
    before = contents(whole)
    for model, data, options, message in (
        (other, sounds, OPTIONS, "holds codes of another model"),
        (run, fewer, OPTIONS, "holds codes of another corpus"),
        (run, sounds, OPTIONS | {"batch": 5}, "made with batch 4 instead of 5"),
    ):
        with pytest.raises(ValueError, match=message + ".*Choose another --output, or --force"):
            encode_corpus(model, str(data), whole, **options)
    assert contents(whole) == before
    copied = shutil.copytree(whole, tmp_path / "copied")
    encode_corpus(other, str(fewer), copied, force=True, **OPTIONS)
    assert len(places(copied)) == 1 and read_manifest(copied)["sequences"] == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    words = ["encode", str(run), str(fewer), "--output", str(tmp_path / "mine"), "--force"]
    assert main(words) == 2 and "holds letter.txt and no manifest" in capsys.readouterr().err
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_a_manifest_of_something_else_is_refused(run, sounds, tmp_path, capsys):
    (tmp_path / "manifest.json").write_text("{}")
    assert main(["encode", str(run), str(sounds), "--output", str(tmp_path)]) == 2
    assert "manifest.json: was not written by `unbraid encode`" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("name", ["codes.csv", "codes.csv.gz", "codes.parquet", "codes.npy", "codes.json"])
def test_a_file_of_a_kind_that_is_not_written_is_refused(run, sounds, tmp_path, name):
    with pytest.raises(ValueError, match=rf"output: .*{name} cannot be written; name a file .*\.npz"):
        encode_corpus(run, str(sounds), tmp_path / name, **OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read_stop_no_others(run, tmp_path):
    sounds = write_sounds(tmp_path / "sounds", 13)
    for number in (7, 8):
        (sounds / "0" / f"{number}.wav").write_text("no sound")
    output = tmp_path / "codes"
    with pytest.raises(ValueError, match=r"2 of 13 cannot be read: .*7\.wav: .*8\.wav: .*leave_out"):
        encode_corpus(run, str(sounds), output, **OPTIONS)
    before = places(output)
    assert sorted(before) == ["shard-000000.safetensors", "shard-000002.safetensors"]
    with pytest.warns(UserWarning, match="left out 2 of 13"):
        encoded = encode_corpus(run, str(sounds), output, unusable="leave_out", **OPTIONS)
    assert encoded.made == 1 and encoded.sequences == 11
    assert {name: places(output)[name] for name in before} == before
    assert [len(entry["left_out"]) for entry in read_manifest(output)["shards"]] == [0, 2, 0]
    with pytest.raises(
        ValueError, match="2 of 13 cannot be read"
    ):  # a finished job is still strict when asked to be
        encode_corpus(run, str(sounds), output, **OPTIONS)
    with pytest.raises(ValueError, match=r"7\.wav: is damaged or not audio"):
        encode_corpus(run, str(sounds / "0" / "7.wav"), tmp_path / "none", **OPTIONS)
    assert not (tmp_path / "none").exists()


def test_two_jobs_do_not_write_one_output(run, sounds, whole, tmp_path):
    with locked(whole / LOCK), pytest.raises(OSError, match="is written by another process"):
        encode_corpus(run, str(sounds), whole, **OPTIONS)
    (tmp_path / "file").write_text("x")
    for options, message in (
        ({"output": tmp_path / "file"}, "is a file; name a folder"),
        ({"batch": 0}, "batch: 0 must be at least 1"),
        ({"address": "localhost:1"}, "address: is of a Ray cluster; add --engine ray"),
    ):
        with pytest.raises(ValueError, match=message):
            encode_corpus(run, str(sounds), **{"output": tmp_path / "new", **OPTIONS, **options})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_threads_of_a_job_stay_when_it_goes_on(run, sounds, tmp_path):
    encode_corpus(run, str(sounds), tmp_path / "codes", threads=2, **OPTIONS)
    assert encode_corpus(run, str(sounds), tmp_path / "codes", **OPTIONS).made == 0
    assert torch.get_num_threads() != 2
    with pytest.raises(ValueError, match="threads 2 instead of 3"):
        encode_corpus(run, str(sounds), tmp_path / "codes", threads=3, **OPTIONS)


# ---- reading ahead --------------------------------------------------------------------------------------


def test_results_come_in_order_and_few_are_in_memory():
    lock, started, used, most = threading.Lock(), [], [], []

    def work(number):
        with lock:
            started.append(number)
            most.append(len(started) - len(used))
        time.sleep(0.002 * (number % 3))
        if number == 5:
            raise ValueError("five")
        return number

    with ahead(work, range(20), 3) as results:
        for future in results:
            used.append(str(future.exception() or future.result()))
    assert used == [str(number) if number != 5 else "five" for number in range(20)]
    assert max(most) <= 3 + 2  # those that wait, and the one that is being used


def test_leaving_early_starts_no_more():
    started = []
    with pytest.raises(KeyboardInterrupt), ahead(started.append, iter(range(1000)), 2) as results:
        next(results)
        raise KeyboardInterrupt
    assert len(started) <= 4


def test_an_interrupted_job_has_its_manifest(run, sounds, whole, tmp_path, monkeypatch):
    def interrupted(path, shard, about):
        if path.name == "shard-000003.safetensors":
            raise KeyboardInterrupt
        write_shard(path, shard, about)

    with monkeypatch.context() as patch:
        patch.setattr("unbraid.corpus.encoding.write_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            encode_corpus(run, str(sounds), tmp_path / "codes", **OPTIONS)
    assert len(read_manifest(tmp_path / "codes")["shards"]) == 3
    assert encode_corpus(run, str(sounds), tmp_path / "codes", **OPTIONS).made == 2
    assert contents(tmp_path / "codes") == contents(whole) and os.listdir(tmp_path) == ["codes"]


def test_a_shard_without_a_readable_recording_is_left_out(tmp_path):
    plan = Plan("model", "data", None, "safetensors", 4, 1, 2, 2, 1, "cpu", "float32")
    shard = Shard(("a",), np.zeros((1, 2), "f4"), np.zeros((3, 2), "f4"), np.array([3]), {})
    path = tmp_path / shard_name(0, plan)
    write_shard(path, shard, {"plan": asdict(plan), "shard": 0, "left_out": []})
    manifest = Manifest(tmp_path, plan, {})
    manifest.add(Entry.of(path, 0, shard))
    manifest.add(Entry(1, None, 0, None, 0, 0, 0, {}, ("b.wav: is damaged",)))
    manifest.close()
    assert [shard.names for shard in read_shards(tmp_path)] == [("a",)]
