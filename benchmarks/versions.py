"""Two versions of the code in turn, by `unbraid speed`, on the same work.

python benchmarks/versions.py OLD/.venv/bin/unbraid NEW/.venv/bin/unbraid --model dbse --data sprites --batch 16

Each version is a command; words that only one of them knows stand behind it: "OLD/.venv/bin/unbraid --width 64". All other
words go to both. Prints seconds of training, encoding and generation (medians over the rounds), and the ratio of the old
version's to the new one's: above 1 the new one is faster. Behind it the least and the largest ratio of a round, which say how
much other work on the machine disturbed.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess

PARTS = ("train", "encode", "generate")


def seconds(command, words):
    """Seconds of each part, by one call of `unbraid speed`."""
    program, *own = shlex.split(command)
    run = subprocess.run(
        [program, "speed", *own, *words, "--json"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise SystemExit(f"{command}: {run.stderr.strip().splitlines()[-1]}")
    figures = json.loads(run.stdout)
    return {part: figures[part]["step_seconds"] for part in PARTS if part in figures}


def main():
    """Measure in turn and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--rounds", type=int, default=5)
    options, words = parser.parse_known_args()
    rounds = [
        tuple(seconds(command, words) for command in (options.old, options.new))
        for _ in range(options.rounds)
    ]
    for part in PARTS:
        if not all(part in version for pair in rounds for version in pair):
            continue
        old, new = (statistics.median(pair[place][part] for pair in rounds) for place in (0, 1))
        ratios = [before[part] / after[part] for before, after in rounds]
        print(
            f"{part:8} {old:9.4f} s -> {new:9.4f} s: {old / new:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
