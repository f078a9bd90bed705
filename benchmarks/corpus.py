"""A corpus of 2,000 WAV files is encoded by one process, by two workers of Ray, and after kills: the shards must be identical.

python benchmarks/corpus.py                 about ten minutes on two cores; needs the extras audio and ray
python benchmarks/corpus.py --files 200     a smaller corpus

The exit code is 1 where shards differ, or where a finished shard was written again.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATE = 16000
COMMAND = [sys.executable, "-m", "unbraid", "encode"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def make_sounds(folder, count):
    """Files of one to three seconds: three tones over noise, in folders of a hundred."""
    import soundfile

    draw = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"{number // 100:02}"
        place.mkdir(parents=True, exist_ok=True)
        time_axis = np.arange(int(RATE * draw.uniform(1, 3))) / RATE
        tones = [np.sin(2 * np.pi * draw.uniform(100, 2000) * time_axis) for _ in range(3)]
        sound = 0.2 * sum(tones) + draw.normal(0, 0.01, len(time_axis))
        soundfile.write(place / f"{number:05}.wav", 0.5 * sound, RATE, "PCM_16")


def train(folder, sounds):
    """A run of a few steps, for its codes mean nothing here."""
    words = ["train", "--data", str(sounds / "00"), "--run", str(folder), "--no-evaluate"]
    words += [
        "--training.steps",
        "5",
        "--training.device",
        "cpu",
        "--data.cache",
        str(folder.parent / "cache"),
    ]
    subprocess.run(
        [sys.executable, "-m", "unbraid", *words], env=ENVIRONMENT, check=True, capture_output=True
    )


def start(run, sounds, output, *more):
    """The command in a process of its own."""
    words = [
        *COMMAND,
        str(run),
        str(sounds),
        "--output",
        str(output),
        "--threads",
        "1",
        "--device",
        "cpu",
        *more,
    ]
    return subprocess.Popen(
        words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    """Wait for a command; seconds that it took from here."""
    began = time.monotonic()
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(said)
    return time.monotonic() - began, said.strip().splitlines()[-1]


def shards(folder):
    """SHA-256 of every shard."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("shard-*"))
    }


def places(folder):
    """Where and when every shard was written: both change when it is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("shard-*")}


def wait_for_shards(folder, count, process):
    """Wait until so many shards are finished."""
    while len(places(folder)) < count:
        if process.poll() is not None:
            raise SystemExit(f"ended before the kill: {process.communicate()[0]}")
        time.sleep(0.02)


def workers_of(process):
    """Numbers of the processes below a process that are Ray's workers with a model."""
    parents, names = {}, {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                status = (place / "stat").read_text().rpartition(")")[2].split()
                parents[int(place.name)] = int(status[1])
                names[int(place.name)] = (place / "cmdline").read_text()
            except OSError:
                continue
    below = {process.pid}
    while more := {number for number, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(number for number in below if "MapWorker" in names.get(number, ""))


def killed(run, sounds, folder):
    """Encode in one process that is killed when two shards are finished, then go on."""
    process = start(run, sounds, folder)
    wait_for_shards(folder, 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = places(folder)
    _, said = finish(start(run, sounds, folder))
    return said, all(places(folder)[name] == place for name, place in before.items())


def worker_killed(run, sounds, folder):
    """Encode by two workers, of which one is killed when two shards are finished."""
    process = start(run, sounds, folder, "--engine", "ray", "--workers", "2")
    wait_for_shards(folder, 2, process)
    before, workers = places(folder), workers_of(process)
    os.kill(workers[0], signal.SIGKILL)
    _, said = finish(process)
    kept = all(places(folder)[name] == place for name, place in before.items())
    return f"{said} ({len(workers)} workers, one killed)", kept


def main():
    """Encode in five ways; compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sounds, run = folder / "sounds", folder / "run"
        make_sounds(sounds, options.files)
        train(run, sounds)
        right = True
        seconds, said = finish(start(run, sounds, folder / "one"))
        expected = shards(folder / "one")
        print(f"one process, {seconds:.1f} s: {said}; {len(expected)} shards", flush=True)
        ray = ("--engine", "ray", "--workers", "2")
        seconds, said = finish(start(run, sounds, folder / "ray", *ray))
        same = shards(folder / "ray") == expected
        print(f"two workers of Ray, {seconds:.1f} s: {said}; identical: {same}", flush=True)
        right &= same
        for name, work in (("process killed", killed), ("worker of Ray killed", worker_killed)):
            said, kept = work(run, sounds, folder / work.__name__)
            same = shards(folder / work.__name__) == expected
            print(f"{name}: {said}; identical: {same}; finished shards left alone: {kept}", flush=True)
            right &= same and kept
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
