"""Damaged and random inputs for every reader of files: what may come out is a value, ValueError or FileNotFoundError.

`python tests/helpers/fuzzing.py --inputs 50000` is `make fuzz`; tests/test_fuzz.py runs some thousand inputs. Input number n
of a reader is the same in every run with the same seed.
"""

import argparse
import contextlib
import faulthandler
import gzip
import hashlib
import io
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from damage import damaged
from made_runs import LEAKAGE, scores, settings, write_run
from PIL import Image
from sound_files import tone, write_sphere, write_wav

from unbraid.benchmark.ledger import read_ledger, record
from unbraid.benchmark.runs import read_run
from unbraid.data.features import Features, Sound
from unbraid.data.formats.images import read_images
from unbraid.data.formats.sounds import read_audio, recorded_rate
from unbraid.data.formats.video import frame_rate, read_movie
from unbraid.data.labels import make_label
from unbraid.data.own.arrays import load_arrays
from unbraid.data.own.labels import read_labels
from unbraid.data.own.tables import read_series
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.data.store import prepared
from unbraid.evaluation import Judge, load_judge, save_judge
from unbraid.io import load_features, load_model, save_features, save_model
from unbraid.models.build import build_model
from unbraid.recipes import resolve_recipe
from unbraid.training.callbacks.checkpoints import CheckpointFiles, read_checkpoint
from unbraid.training.callbacks.metrics import Metrics
from unbraid.training.environment import read_environment
from unbraid.training.run_folder import read_config, read_training

SETTING = re.compile(
    r"(recipe|id|features|model|(data|model|training)\.[\w.]+)[ :]"
)  # errors that name a setting
MODEL = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}


@dataclass
class Reader:
    """A reader of files under test.

    Attributes:
        name: of the reader.
        share: how many of all inputs it gets, beside the shares of the others.
        files: the whole files, whose content is damaged in turn.
        read: reads the file; what it returns is compared where the file has a checksum.
        checked: whether a file that is accepted must give what the whole file gives.
    """

    name: str
    share: float
    files: list[Path]
    read: object
    checked: bool = False


@dataclass
class Fault:
    """An input that did what none may do."""

    reader: str
    number: int
    file: str
    damage: str
    fault: str


def films(folder):
    import av

    files = []
    x, y = np.meshgrid(np.arange(32), np.arange(24))
    pictures = [np.stack([x * 8, y * 10, x * 0 + 25 * t], -1).astype(np.uint8) for t in range(6)]
    for ending, codec in {
        ".mp4": "mpeg4",
        ".avi": "mpeg4",
        ".mkv": "mpeg4",
        ".webm": "libvpx",
        ".mpg": "mpeg2video",
    }.items():
        files.append(folder / f"film{ending}")
        with av.open(str(files[-1]), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    return Reader("films", 2.5, files, read_film)


def gifs(folder):
    x, y = np.meshgrid(np.arange(16), np.arange(12))
    pictures = [
        Image.fromarray(np.stack([x * 16, y * 16, x * 0 + 40 * t], -1).astype(np.uint8)) for t in range(4)
    ]
    pictures[0].save(folder / "film.gif", save_all=True, append_images=pictures[1:], duration=50)
    return Reader("GIFs", 4, [folder / "film.gif"], read_film)


def read_film(path):
    frame_rate(path)
    for frame in read_movie(path, 16, 3):
        assert frame.shape == (3, 16, 16) and frame.dtype == np.uint8


def images(folder):
    x, y = np.meshgrid(np.arange(20), np.arange(16))
    picture = Image.fromarray(np.stack([x * 12, y * 15, x * y % 251], -1).astype(np.uint8))
    files = [folder / f"picture{ending}" for ending in (".png", ".jpg", ".bmp", ".tif", ".webp", ".jpeg")]
    for file in files:
        image = picture.convert("P") if file.suffix == ".bmp" else picture
        image.save(file, **({"compression": "tiff_lzw"} if file.suffix == ".tif" else {}))
    deep = Image.fromarray(np.dstack([np.asarray(picture), np.asarray(picture)[..., :1]]))
    deep.save(folder / "alpha.png")
    return Reader("images", 14, [*files, folder / "alpha.png"], read_image)


def read_image(path):
    for picture in read_images([path], 16, 3):
        assert picture.shape == (3, 16, 16) and picture.dtype == np.uint8


def sounds(folder):
    import soundfile

    sound = tone(200, 2000)
    write_wav(folder / "sound.wav", sound)
    write_sphere(folder / "sound.sph", sound)
    soundfile.write(folder / "float.wav", sound.astype(np.float32), 8000, "FLOAT")
    soundfile.write(folder / "stereo.wav", np.stack([sound, 0.5 * sound], 1), 8000, "PCM_24")
    for ending in (".ogg", ".mp3", ".aiff", ".au"):
        soundfile.write(folder / f"sound{ending}", sound, 8000)
    return Reader("sounds", 12, sorted(folder.iterdir()), read_sound)


def flacs(folder):
    import soundfile

    soundfile.write(folder / "sound.flac", tone(200, 2000), 8000)
    soundfile.write(folder / "deep.flac", np.stack([tone(200, 2000), tone(90, 2000)], 1), 8000, "PCM_24")
    return Reader("FLAC", 4, sorted(folder.iterdir()), read_sound, checked=True)


def read_sound(path):
    recorded_rate(path)
    resampled = read_audio(path, 16000).samples
    assert np.isfinite(resampled).all() and resampled.dtype == np.float32
    return read_audio(path).samples.tobytes()


def array_files(folder):
    draw = np.random.default_rng(0)
    np.save(folder / "series.npy", draw.normal(size=(6, 4, 3)).astype(np.float32))
    np.save(folder / "frames.npy", draw.integers(0, 255, (4, 2, 16, 16, 3)).astype(np.uint8))
    return Reader("arrays .npy", 10, sorted(folder.iterdir()), read_arrays)


def packed_arrays(folder):
    draw = np.random.default_rng(0)
    arrays = {
        "x": draw.normal(size=(6, 4, 3)).astype(np.float32),
        "lengths": np.array([4, 4, 3, 4, 2, 4]),
        "groups": np.arange(6) // 2,
        "who": np.array(list("abcabc")),
    }
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    return Reader("arrays .npz", 8, sorted(folder.iterdir()), read_arrays, checked=True)


def read_arrays(path):
    data = load_arrays(path)
    batch = data.batch(slice(None))
    assert torch.isfinite(batch.x).all()
    labels = [(name, label.values.tobytes(), label.classes) for name, label in sorted(data.labels.items())]
    return data.x.tobytes(), data.groups is None or data.groups.tobytes(), repr(data.lengths), repr(labels)


def table_rows():
    for patient in range(4):
        for hour in range(6):
            yield (
                f"p{patient}",
                f"2020-01-01 {hour:02}:00",
                f"{60 + hour}.5",
                "" if hour == 2 else f"{36 + patient}",
                "ab"[patient % 2],
            )


HEADER = ["id", "time", "heart", "temp", "ward"]
WIDE = {"window": 2, "static_labels": ["ward"]}
LONG = {"window": 2, "variable": "variable", "value": "value"}


def wide_text(separator=",", decimal="."):
    lines = [HEADER, *([field.replace(".", decimal) for field in row] for row in table_rows())]
    return "".join(separator.join(line) + "\n" for line in lines)


def tables(folder):
    (folder / "wide.csv").write_text(wide_text(), encoding="utf-8")
    (folder / "comma.csv").write_text("sep=;\n" + wide_text(";", ","), encoding="utf-8")
    (folder / "wide.tsv").write_text(wide_text("\t"), encoding="utf-16")
    rows = [
        f"{row[0]},{row[1]},{name},{value}\n"
        for row in table_rows()
        for name, value in zip("ht", row[2:4], strict=True)
        if value
    ]
    (folder / "long.csv").write_text("id,time,variable,value\n" + "".join(rows), encoding="utf-8")
    return Reader("tables CSV, TSV", 9, sorted(folder.iterdir()), read_table)


def packed_tables(folder):
    with gzip.GzipFile(folder / "wide.csv.gz", "wb", mtime=0) as file:
        file.write(wide_text().encode("utf-8"))
    return Reader("tables .csv.gz", 5, [folder / "wide.csv.gz"], read_table, checked=True)


def frame_tables(folder):
    import pandas

    frame = pandas.read_csv(io.StringIO(wide_text()))
    frame.to_parquet(folder / "wide.parquet")
    frame.to_feather(folder / "wide.feather")
    return Reader("tables Parquet, Feather", 5, sorted(folder.iterdir()), read_table)


def read_table(path):
    names, data = read_series(path, **(LONG if path.name.startswith("long") else WIDE))
    assert len(names) == len(data) and torch.isfinite(data.batch(slice(None)).x).all()
    return names, data.x.tobytes(), None if data.mask is None else data.mask.tobytes()


FILES = [f"who{number % 3}/clip{number}.mp4" for number in range(8)]


def label_files(folder):
    lines = [f"{name},w{number % 3},{'ab'[number % 2]}" for number, name in enumerate(FILES)]
    text = "\n".join(["file,who,what", *lines]) + "\n"
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    (folder / "windows.csv").write_text(
        text.replace("/", "\\").replace("\n", "\r\n"), encoding="utf-16", newline=""
    )
    return Reader("label files", 7, sorted(folder.iterdir()), lambda path: read_labels(path, FILES))


def configs(folder):
    write_run(folder / "run", settings("sprites/dbse"), {})
    return Reader("config.yaml", 3, [folder / "run" / "config.yaml"], read_settings)


def read_settings(path):
    read_training(path.parent, read_config(path.parent))


def recipes(folder):
    content = (
        "# a recipe\nextends: sprites/dbse\nmodel:\n  name: dbse\n  width: 16\ntraining:\n  max_epochs: 3\n"
        "  weights: {kl_static: [[0, 1], [0.5, 2]]}\n"
    )
    (folder / "recipe.yaml").write_text(content, encoding="utf-8")
    return Reader("recipes", 3, [folder / "recipe.yaml"], lambda path: resolve_recipe(str(path)))


def models(folder):
    save_model(build_model("dbse", (5,), **MODEL), folder / "model")
    return Reader("model.json, weights", 6, sorted((folder / "model").iterdir()), read_model, checked=True)


def read_model(path):
    return digest_of(load_model(path.parent).state_dict())


def features(folder):
    scaling = Scaling(np.array([1.0, 2.0]), np.array([1.0, 0.5]))
    save_features(Features(("a", "b"), ("m", "s"), scaling, 100.0, Sound("mel80", 8000)), folder)
    return Reader("features.json", 3, [folder / "features.json"], read_features, checked=True)


def read_features(path):
    return json.dumps(load_features(path.parent).to_json())


def runs(folder):
    run = write_run(folder / "run", settings("sprites/dbse"), {"generation": scores(0.9), "leakage": LEAKAGE})
    files = [
        run / "environment.json",
        run / "evaluation" / "generation.json",
        run / "evaluation" / "leakage.json",
    ]
    return Reader("environment.json, scores", 3, files, lambda path: (read_environment(run), read_run(run)))


def metrics(folder):
    run = write_run(folder / "run", settings("sprites/dbse"), {})

    def read(path):
        try:
            read_run(run)
        finally:
            Metrics(path, 10, ["a"], None).drop_rows_after(15)

    return Reader("metrics.csv", 2, [run / "metrics.csv"], read)


def checkpoints(folder):
    path = folder / "step-00000001.ckpt"
    state = {"state_dict": {"a": torch.arange(40.0)}, "epoch": 1, "loops": {"b": [1, "c"]}}
    CheckpointFiles().save_checkpoint(state, path)
    return Reader(
        "checkpoints", 6, [path], lambda path: digest_of(read_checkpoint(path)["state_dict"]), checked=True
    )


def caches(folder):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(6, 4, 3)).astype(np.float32)
    data = Sequences.from_arrays(x, name="toy", labels={"who": make_label("who", np.arange(6) % 2, "static")})

    def read(path):
        opened = prepared("toy", {}, lambda space: data, folder)
        return (
            opened.fingerprint,
            opened.x.tobytes(),
            opened.labels["who"].values.tobytes(),
            repr(opened.splits),
        )

    read(None)
    place = next(path for path in folder.iterdir() if path.is_dir())
    return Reader("caches", 2, sorted(place.iterdir()), read, checked=True)


def judges(folder):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_judge(Judge((2,), {"a": 2}), folder / "judge.safetensors")
    return Reader(
        "judges",
        1.5,
        [folder / "judge.safetensors"],
        lambda path: digest_of(load_judge(path).state_dict()),
        checked=True,
    )


def ledgers(folder):
    ledger = folder / "results" / "ledger.csv"
    for seed in range(2):
        run = folder / f"run{seed}"
        record(
            write_run(run, settings("sprites/dbse", training__seed=seed), {"generation": scores(0.9)}), ledger
        )
    return Reader(
        "ledger",
        3,
        [ledger, *sorted((folder / "results" / "scores").iterdir())],
        lambda path: read_ledger(ledger),
    )


def digest_of(state):
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode() + value.numpy().tobytes())
    return digest.hexdigest()


MAKERS = (
    *(films, gifs, images, sounds, flacs, array_files, packed_arrays, tables, packed_tables, frame_tables, label_files),
    *(configs, recipes, models, features, runs, metrics, checkpoints, caches, judges, ledgers),
)  # fmt: skip


def make_readers(folder):
    """Every reader with its whole files, which it must accept."""
    readers = []
    for maker in MAKERS:
        place = folder / maker.__name__
        place.mkdir()
        readers.append(maker(place))
    return readers


def try_reader(reader, count, seed):
    """Give a reader `count` inputs.

    Returns:
        How many it accepted, and its faults.
    """
    faults, accepted = [], 0
    whole = {file: file.read_bytes() for file in reader.files}
    times = {file: file.stat().st_mtime_ns for file in reader.files}
    expected = {file: reader.read(file) for file in reader.files}
    for number in range(count):
        draw = random.Random(f"{seed} {reader.name} {number}")
        file = reader.files[number % len(reader.files)]
        content, damage = damaged(draw, whole[file])
        file.write_bytes(content)
        if draw.random() < 0.5:
            os.utime(file, ns=(times[file], times[file]))
        fault = None
        try:
            value = reader.read(file)
            accepted += 1
            sealed = file.suffix == ".json" and "values" in damage  # it has the checksum of its new content
            if reader.checked and not sealed and value != expected[file]:
                fault = "accepted with another content"
        except (ValueError, FileNotFoundError) as error:
            text = str(error)
            if "\n" in text:
                fault = f"an error of several lines: {text}"
            elif not any(name in text for name in (file.name, file.parent.name)) and not SETTING.match(text):
                fault = f"an error that does not name the file: {text}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            fault = f"{type(error).__name__}: {error}"
        if fault:
            faults.append(Fault(reader.name, number, file.name, damage, fault))
        if not file.exists() or file.read_bytes() != whole[file]:
            file.write_bytes(whole[file])
            os.utime(file, ns=(times[file], times[file]))
    return accepted, faults


@contextlib.contextmanager
def quiet():
    """Without the warnings of readers, and what C libraries write to standard error."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def peak_memory():
    """The most memory that this process has held, in bytes.

    On Linux from /proc: getrusage counts what the process that started this one held as well.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    parser = argparse.ArgumentParser(description="Try damaged and random files on every reader.")
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name holds this text")
    options = parser.parse_args()
    torch.set_num_threads(1)
    faulthandler.enable(open(os.dup(2), "w"))  # noqa: SIM115 - of the terminal, also while it is quiet
    faults, total, before = [], 0, peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        readers = make_readers(Path(folder))
        shares = sum(reader.share for reader in readers)
        print(f"{'reader':<26}{'inputs':>8}{'accepted':>10}{'faults':>8}{'seconds':>9}{'peak MB':>9}")
        for reader in readers:
            if options.only not in reader.name:
                continue
            count = -int(-options.inputs * reader.share // shares)
            begin = time.monotonic()
            with quiet():
                accepted, found = try_reader(reader, count, options.seed)
            seconds, peak = time.monotonic() - begin, peak_memory() / 2**20
            print(
                f"{reader.name:<26}{count:>8}{accepted:>10}{len(found):>8}{seconds:>9.0f}{peak:>9.0f}",
                flush=True,
            )
            faults += found
            total += count
    for fault, several in Counter((f.reader, f.fault[:160]) for f in faults).most_common():
        first = next(f for f in faults if (f.reader, f.fault[:160]) == fault)
        print(
            f"{several} x {fault[0]}, such as input {first.number} ({first.file}, {first.damage}): {first.fault[:600]}"
        )
    peak = peak_memory()
    print(
        f"{total} inputs, {len(faults)} faults, peak memory {peak / 2**20:.0f} MB ({before / 2**20:.0f} MB before the first)"
    )
    return 1 if faults or peak > 10**9 else 0


if __name__ == "__main__":
    sys.exit(main())
