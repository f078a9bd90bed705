"""Peak memory and time of reading and encoding at the sizes that people have.

python benchmarks/memory.py                      all measurements, a few minutes; needs 2 GB in the temporary folder
python benchmarks/memory.py sound film           some of them
python benchmarks/memory.py table --megabytes 50 a smaller table

Memory is the highest above that after imports, of a process that does nothing else.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MB = 10**6
SPARE = 500 * MB  # that a reader may take beside 1.5 times the prepared data


# ---- files ----------------------------------------------------------------------------------------------


def make_table(folder, megabytes):
    """Rows of 500 patients, one a minute: ten columns, 73 bytes a row."""
    path, draw = folder / "table.csv", np.random.default_rng(0)
    rows = megabytes * MB // 73
    with open(path, "w", encoding="utf-8") as file:
        file.write("patient,minute," + ",".join(f"measure{place}" for place in range(8)) + "\n")
        each, written = rows // 500, 0
        for patient in range(500):
            values = draw.normal(50, 10, (each, 8)).round(4)
            lines = [
                f"p{patient:03},{minute}," + ",".join(map(str, row))
                for minute, row in enumerate(values.tolist())
            ]
            file.write("\n".join(lines) + "\n")
            written += each
    return path


def make_sounds(folder):
    """An hour of stereo at 44.1 kHz, and two short files beside it."""
    import soundfile

    place, draw = folder / "sounds", np.random.default_rng(0)
    place.mkdir()
    with soundfile.SoundFile(place / "hour.wav", "w", 44100, 2, "PCM_16") as file:
        for _ in range(360):
            file.write(draw.normal(0, 0.1, (441_000, 2)))
    for name in ("a", "b"):
        soundfile.write(place / f"{name}.wav", draw.normal(0, 0.1, (44_100, 2)), 44100, "PCM_16")
    return place


def make_film(folder):
    """Three minutes of 320x240 pixels at 30 frames a second."""
    import av

    path, draw = folder / "film.mp4", np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        background = draw.integers(0, 200, (240, 320, 3)).astype(np.uint8)
        for number in range(180 * 30):
            picture = background.copy()
            picture[:, number % 320] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def make_sequences(folder):
    """100,000 sequences of 10 steps of 5 features."""
    path = folder / "short.npy"
    np.save(path, np.random.default_rng(0).normal(size=(100_000, 10, 5)).astype(np.float32))
    return path


def make_series(folder):
    """100,000 series of 48 steps of 6 features, and a run of their first rows."""
    path, draw = folder / "series.npy", np.random.default_rng(0)
    x = np.lib.format.open_memmap(path, "w+", np.float32, (100_000, 48, 6))
    for start in range(0, len(x), 1000):
        x[start : start + 1000] = draw.normal(size=(1000, 48, 6))
    np.save(folder / "first.npy", x[:64])
    words = ["train", "--data", str(folder / "first.npy"), "--run", str(folder / "run"), "--no-evaluate"]
    words += ["--training.steps", "2", "--training.device", "cpu"]
    subprocess.run([sys.executable, "-m", "unbraid", *words], check=True, capture_output=True)
    return path


def make_labels(folder, lines):
    """Labels of so many files."""
    path = folder / f"labels{lines}.csv"
    text = "".join(
        f"speaker{number % 100}/clip{number}.wav,s{number % 100},w{number % 7}\n" for number in range(lines)
    )
    path.write_text("file,speaker,word\n" + text, encoding="utf-8")
    return path


# ---- work, in processes of their own --------------------------------------------------------------------


def read_table(path, folder):
    """Bytes of the file, for a table is read from there."""
    from unbraid import load

    load(path, id="patient", time="minute", time_format="min", window=60, windows=4, cache=folder / "cache")
    return Path(path).stat().st_size


def read_sounds(path, folder):
    """Bytes of the prepared features."""
    from unbraid import load

    return load(path, cache=folder / "cache").x.nbytes


def encode_film(path, folder):
    """Bytes of the frames that are encoded."""
    train(
        folder / "run",
        np.random.default_rng(0).integers(0, 255, (8, 16, 3, 64, 64)).astype(np.uint8),
        width=8,
    )
    begin_measuring()
    encode(folder / "run", path, folder / "film.npz")
    return 180 * 30 * 3 * 64 * 64


def encode_sequences(path, folder):
    """Bytes of the codes."""
    train(folder / "run", np.load(path)[:64], static_size=256, dynamic_size=32, hidden=32, features=16)
    begin_measuring()
    encode(folder / "run", path, folder / "short.npz")
    return (folder / "short.npz").stat().st_size


def read_labels(path, folder):
    """Bytes of the file."""
    from unbraid.data.own.labels import read_labels

    lines = int(path.stem.removeprefix("labels"))
    read_labels(path, [f"speaker{number % 100}/clip{number}.wav" for number in range(lines)])
    return path.stat().st_size


def train(folder, x, **settings):
    """A run of one epoch, for its codes mean nothing here."""
    from unbraid import Sequences, TrainingConfig, fit

    training = TrainingConfig(max_epochs=1, batch_size=4, device="cpu")
    fit(Sequences.from_arrays(x), "dsvae", folder=folder, settings=settings, training=training, quiet=True)


def encode(run, path, output):
    """The command `unbraid encode`."""
    from unbraid.cli import main

    if main(["encode", str(run), str(path), "--output", str(output)]):
        raise SystemExit(1)


def begin_measuring():
    """Forget the highest memory before; see proc_pid_clear_refs."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    state["memory"], state["time"] = memory("VmRSS"), time.monotonic()


def memory(name):
    """Memory of this process in bytes: VmRSS now, VmHWM the highest."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


state: dict[str, float] = {}


def work(name, path, folder):
    """Do the work of a measurement; print its highest memory, its time and what its limit is counted from."""
    import torch

    import unbraid.cli.encode
    import unbraid.data.load
    import unbraid.inputs  # noqa: F401

    for package in ("pandas", "pyarrow.csv", "soundfile", "soxr", "av"):
        __import__(package)
    torch.set_num_threads(1)
    begin_measuring()
    size = WORK[name](Path(path), Path(folder))
    print(json.dumps([memory("VmHWM") - state["memory"], time.monotonic() - state["time"], size]))


WORK = {
    "table": read_table,
    "sound": read_sounds,
    "film": encode_film,
    "encode": encode_sequences,
    "labels": read_labels,
}
WHAT = {
    "table": "CSV file of {size:.0f} MB",
    "sound": "one hour of stereo, prepared {size:.0f} MB",
    "film": "encode a film of three minutes, {size:.0f} MB of frames",
    "encode": "encode 100,000 sequences, codes of {size:.0f} MB",
}


def measure(name, path, folder):
    """Memory in bytes, seconds, and the size that the limit is counted from, of a child process."""
    command = [sys.executable, __file__, "--work", name, str(path), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Measure, and say whether all limits were kept to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "measurements", nargs="*", metavar="name", help="table, sound, film, encode, labels, series"
    )
    parser.add_argument("--megabytes", type=int, default=374, help="size of the table")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(*options.work)
    kept = True
    print(f"{'what':<56}{'seconds':>9}{'memory MB':>11}{'limit MB':>10}")
    for name in options.measurements or [*WORK, "series"]:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            if name in WHOLE:
                kept &= WHOLE[name](folder)
                continue
            makers = {"sound": make_sounds, "film": make_film, "encode": make_sequences}
            path = make_table(folder, options.megabytes) if name == "table" else makers[name](folder)
            used, seconds, size = measure(name, path, folder)
            limit = 3 * size if name == "table" else 1.5 * size + SPARE
            print(
                f"{WHAT[name].format(size=size / MB):<56}{seconds:>9.1f}{used / MB:>11.0f}{limit / MB:>10.0f}",
                flush=True,
            )
            kept &= used <= limit
    return 0 if kept else 1


def measure_labels(folder):
    """Whether four times as many labels take about four times as long; the best of three, for short times vary."""
    times = {}
    for lines in (10_000, 40_000):
        path = make_labels(folder, lines)
        times[lines], used = min(
            (seconds, used) for used, seconds, _ in (measure("labels", path, folder) for _ in range(3))
        )
        print(f"{f'labels of {lines:,} files':<56}{times[lines]:>9.2f}{used / MB:>11.0f}")
    return times[40_000] < 8 * times[10_000]


def measure_series(folder):
    """Whether `unbraid encode` of 100,000 series on one core keeps to 600 MB, imports included, and 20,000 steps a second."""
    path, kept = make_series(folder), True
    for ending in ("", ".npz"):
        words = ["encode", str(folder / "run"), str(path), "--output", str(folder / f"codes{ending}")]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "unbraid", *words, "--threads", "1", "--device", "cpu"],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds, memory_used = time.monotonic() - began, 1024 * usage.ru_maxrss
        rate = 100_000 * 48 / (usage.ru_utime + usage.ru_stime)
        what = f"100,000 series to {'one file' if ending else 'shards'}, {rate:,.0f} steps a CPU second"
        print(f"{what:<56}{seconds:>9.1f}{memory_used / MB:>11.0f}{600:>10}", flush=True)
        kept &= status == 0 and memory_used <= 600 * MB and rate >= 20_000
    return kept


WHOLE = {"labels": measure_labels, "series": measure_series}


if __name__ == "__main__":
    sys.exit(main())
