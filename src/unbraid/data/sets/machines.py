"""Machines: four sensors on machines that run, made by code in a second, with factors that are known exactly.

Each sequence is one machine, recorded for 12 to `steps` windows of eight rows (ten rows a second). A sensor k shows

    base_k + unit_k * (level + scale * (wave_k + load_k * regime + event_k + noise)).

Static factors, which stay as long as the machine runs:

- `level` (a number): what all sensors are raised by, in their units.
- `scale` (a number): the size of everything that moves.
- `frequency` (slow, middle, fast): 1, 1 1/3 or 1 2/3 turns in a window, up to 3% more or less.
- `coupling` (together, lagging, opposed): the fourth sensor turns with the others, a quarter turn or half a turn behind them.

Dynamic factors, one value for each window:

- `phase_cos`, `phase_sin`: cosine and sine of the first three sensors' angle in the middle of the window. Each window starts at a new
  random angle, so that the path of the angles does not tell the frequency.
- `regime` (0 or 1): whether the machine is loaded, two to five windows at a time. Load raises the current and lowers the
  pressure; the mean over the sensors stays.
- `event` (0 or 1): whether a shock is heard in the window: vibration and current jump and die away within three rows.

A swap of these factors has one right answer that the series themselves tell, without labels: the changed series that is nearest to
the one that gave the phase. So most sensors show the phase, whatever the coupling, and waves of different frequency overlap in a
window.

All factors are drawn independently of one another. A tenth of the values is missing, half of them one by one, half of them in
blocks of one sensor. Splits are by machine, at random.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from unbraid.cards import DataCard
from unbraid.data.checks import check_whole
from unbraid.data.formats.windows import cut_windows, scale_windows
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences, lengths_or_none
from unbraid.data.splits import in_order_of_splits, split_by_group
from unbraid.data.store import prepared

__all__ = ["card", "load", "render"]

card = DataCard(
    name="machines",
    summary="1000 machines with four sensors: series of 96 to 192 rows with a tenth of the values missing",
    source="unbraid's own simulation, by code",
    licence="Apache-2.0",
    obtain="nothing to get: made on first use, in a second",
    shape=(24, 8, 4),
    kind="windows",
    protocols=("planted",),
    choices=(
        "static factors: level and scale (numbers), frequency and coupling (three classes each)",
        "dynamic factors, one value for each window of eight rows: regime and event (0 or 1), phase (cosine and sine)",
        "every window starts at a new phase, so that the path of the phases does not tell the frequency",
        "splits: 70% of the machines for training, 10% for validation, 20% for testing",
    ),
)

VERSION = 2
WINDOW = 8
SHORTEST = 12
RATE = 10.0  # rows per second
# Name, unit, base and unit of size, load: how the regime moves it, shock: how much of an event it shows.
SENSORS = (
    ("vibration", "mm/s", 6.0, 2.0, 0.0, 1.0),
    ("pressure", "bar", 40.0, 5.0, -1.0, 0.0),
    ("current", "A", 12.0, 3.0, 1.0, 1.0),
    ("temperature", "°C", 65.0, 8.0, 0.0, 0.0),
)
BASE, UNIT, LOAD, SHOCK = (np.array(column) for column in list(zip(*SENSORS, strict=True))[2:])
FOLLOWS = np.array([0, 0, 0, 1])  # the sensor that lags behind the others by the coupling
FREQUENCIES = {"slow": 1.0, "middle": 4 / 3, "fast": 5 / 3}  # turns in a window
COUPLINGS = {"together": 0.0, "lagging": 0.25, "opposed": 0.5}  # turns behind
EVENT_SHARE, EVENT_SIZE, EVENT_DECAY = 0.15, 4.0, 0.5
NOISE = 0.15
MISSING = 0.05  # of the values one by one, and as many in blocks
BLOCK_ROWS = (4, 24)
FRACTIONS = (0.7, 0.1, 0.2)


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    sequences: int = 1000,
    steps: int = 24,
    seed: int = 0,
) -> Sequences:
    """Load Machines: x `(sequences, steps, 8, 4)` with a mask and different lengths, scaled on the train split.

    Static labels `frequency` and `coupling`; targets `level` and `scale`, `(N,)`; targets `regime`, `event`, `phase_cos` and
    `phase_sin`, `(N, T)`.

    Args:
        root: leave it out, for nothing has to be read.
        cache: where the made series (4 MB) are kept; None for UNBRAID_CACHE or the user's cache folder.
        sequences: number of machines, at least 10.
        steps: windows of the longest series, at least 12; the shortest has 12.
        seed: of everything that is drawn; another seed gives other machines.

    Raises:
        ValueError: `root` is given, or a number is out of its range.
    """
    if root is not None:
        raise ValueError(f"root: machines are made by code, not read, found {root}; leave root out")
    check_whole("sequences", sequences, 10)
    check_whole("steps", steps, SHORTEST)
    check_whole("seed", seed, 0)
    options = {"sequences": sequences, "steps": steps, "seed": seed}
    return prepared("machines", options, lambda space: _build(sequences, steps, seed), cache, version=VERSION)


def render(
    level: Float[np.ndarray, "N"],
    scale: Float[np.ndarray, "N"],
    turns: Float[np.ndarray, "N"],
    lag: Float[np.ndarray, "N"],
    phase: Float[np.ndarray, "N T"],
    regime: Int[np.ndarray, "N T"],
    shock: Int[np.ndarray, "N T"],
) -> Float[np.ndarray, "N T W F"]:
    """The series of machines without noise, in the sensors' units.

    Args:
        level: added to all sensors, in units of their size.
        scale: factor of everything that moves.
        turns: in a window.
        lag: of the fourth sensor behind the others, in turns.
        phase: angle of the first three sensors in the middle of each window, in turns.
        regime: 1 under load, else 0.
        shock: the row of the window in which a shock begins; -1 for none.
    """
    row = np.arange(WINDOW)
    from_middle = (row - (WINDOW - 1) / 2) / WINDOW
    angle = phase[:, :, None] + turns[:, None, None] * from_middle
    wave = np.sin(2 * np.pi * (angle[..., None] - lag[:, None, None, None] * FOLLOWS))
    since = row - shock[:, :, None]
    struck = (shock[:, :, None] >= 0) & (since >= 0)
    event = EVENT_SIZE * np.where(struck, EVENT_DECAY ** np.maximum(since, 0), 0)
    moving = wave + (2 * regime - 1)[:, :, None, None] * LOAD + event[..., None] * SHOCK
    return _in_units(level, scale, moving)


def _in_units(level: np.ndarray, scale: np.ndarray, moving: np.ndarray) -> np.ndarray:
    return BASE + UNIT * (level[:, None, None, None] + scale[:, None, None, None] * moving)


def _build(sequences: int, steps: int, seed: int) -> Sequences:
    random = np.random.default_rng(seed)
    lengths = random.integers(SHORTEST, steps + 1, sequences)
    level = random.normal(0, 1, sequences).clip(-2.5, 2.5)
    scale = np.exp(random.uniform(np.log(0.5), np.log(2), sequences))
    frequency, coupling = random.integers(0, 3, (2, sequences))
    turns = np.array(list(FREQUENCIES.values()))[frequency] * random.uniform(0.97, 1.03, sequences)
    lag = np.array(list(COUPLINGS.values()))[coupling]
    phase = random.random((sequences, steps))
    regime = _regimes(random, sequences, steps)
    event = random.random((sequences, steps)) < EVENT_SHARE
    shock = np.where(event, random.integers(0, WINDOW - 2, (sequences, steps)), -1)
    clean = render(level, scale, turns, lag, phase, regime, shock)
    x = clean + UNIT * scale[:, None, None, None] * NOISE * random.normal(size=clean.shape)
    x = np.where(_missing(random, sequences, steps * WINDOW).reshape(x.shape), np.nan, x)
    order, splits = in_order_of_splits(split_by_group(np.arange(sequences), FRACTIONS, seed))
    flat = x.reshape(sequences, steps * WINDOW, len(SENSORS))
    series = [flat[row, : WINDOW * lengths[row]] for row in order]
    windows, lengths = cut_windows(series, WINDOW, steps)
    x, mask, scaling = scale_windows(windows, splits["train"])
    angle = 2 * np.pi * phase
    per_step = {
        "regime": regime,
        "event": event,
        "phase_cos": np.cos(angle),
        "phase_sin": np.sin(angle),
    }
    inside = np.arange(steps) < lengths[:, None]
    return Sequences(
        x,
        "machines",
        lengths=lengths_or_none(lengths, steps),
        mask=mask,
        labels={
            "frequency": Label(frequency[order], tuple(FREQUENCIES), "static"),
            "coupling": Label(coupling[order], tuple(COUPLINGS), "static"),
        },
        targets={"level": level[order], "scale": scale[order]}
        | {name: np.where(inside, values[order].astype(float), np.nan) for name, values in per_step.items()},
        splits=splits,
        scaling=scaling,
        feature_names=tuple(sensor[0] for sensor in SENSORS),
        units=tuple(sensor[1] for sensor in SENSORS),
        sampling_rate=RATE,
    )


def _regimes(random: np.random.Generator, sequences: int, steps: int) -> Int[np.ndarray, "N T"]:
    """Two regimes in turn, each for two to five windows, from a random place on."""
    runs = random.integers(2, 6, (sequences, steps // 2 + 4))
    starts = np.cumsum(runs, 1) - random.integers(0, 6, (sequences, 1))
    place = np.arange(steps)
    turn = (starts[:, :, None] <= place).sum(1)
    return (turn + random.integers(0, 2, (sequences, 1))) % 2


def _missing(random: np.random.Generator, sequences: int, rows: int) -> Bool[np.ndarray, "N L F"]:
    """A tenth of the values: half of them one by one, half in blocks of one sensor."""
    missing = random.random((sequences, rows, len(SENSORS))) < MISSING
    mean_rows = (BLOCK_ROWS[0] + BLOCK_ROWS[1]) / 2
    starts = random.random(missing.shape) < MISSING / mean_rows
    spans = random.integers(BLOCK_ROWS[0], BLOCK_ROWS[1] + 1, missing.shape)
    for row, first, sensor in zip(*np.nonzero(starts), strict=True):
        missing[row, first : first + spans[row, first, sensor], sensor] = True
    return missing
