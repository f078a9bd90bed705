"""TODO: one line that says what the data set is. Template: three-axis motion sensors, worn by people who do something.

TODO: where the data come from, which form the files have, how sequences are cut, what the labels are, how the splits are
made. Write what a reader must know to trust a score on this data set. Template:

The folder holds one CSV file for each recording, `{activity}_{person}_{number}.csv`, without a header: one line for each
step, three numbers in each line. A sequence is the first `steps` lines of a recording; shorter ones are padded. The
static label is the person, the dynamic label the activity. Splits are by recording, so each person is in every split.

To make a data set of your own of this file:

1. Copy it to `sets/<name>.py` and work through the TODO comments from top to bottom.
2. Add one line to `DATASETS` in `unbraid/registry.py`.
3. Write `tests/data/sets/test_<name>.py`: make tiny files of the published form in the test, load them, and compare single
   values, labels and splits with what you wrote. `unbraid.testing.check_dataset` checks the rest.
"""

from pathlib import Path

import numpy as np

from unbraid.cards import DataCard
from unbraid.data.formats.paths import files_below, files_digest
from unbraid.data.labels import make_label
from unbraid.data.own.labels import pattern_labels
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences, lengths_or_none
from unbraid.data.splits import in_order_of_splits, split_by_group
from unbraid.data.store import prepared
from unbraid.masks import steps_below, widen, zero_unobserved

__all__ = ["card", "load"]

# TODO: fill in every field. `shape` is that of one sequence, (T, *X), with the published options; `kind` is one of
# `unbraid.kinds.KINDS`; `protocols` are names of `unbraid.registry.PROTOCOLS`; `choices` say how you decided what the
# literature leaves open.
card = DataCard(
    name="_template",
    summary="people who wear a three-axis motion sensor: sequences of 20 steps",
    source="made up, to show how a data set is written",
    licence="Apache-2.0",
    obtain="nothing to get: write CSV files of the form that this module describes",
    shape=(20, 3),
    kind="vectors",
    protocols=("generation",),
    choices=("splits are by recording, not by person, so that a judge can recognise every person",),
)

FEATURES = ("forward", "sideways", "upward")


# TODO: root and cache come first, always. Every option of the data set is keyword-only, has a default and a line below.
def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    steps: int = 20,
    seed: int = 0,
) -> Sequences:
    """Load the recordings: x `(N, steps, 3)` float32, scaled; static label person, dynamic label activity.

    Args:
        root: the folder with the CSV files.
        cache: where the prepared arrays are kept; None for UNBRAID_CACHE or the user's cache folder.
        steps: of a sequence.
        seed: of the split.

    Raises:
        FileNotFoundError: no root, or it holds no recording.
        ValueError: a file is not named as described, or does not hold three numbers in each line.
    """
    # TODO: refuse wrong options first, then missing files, each with an error that names the argument, what was found and
    # the fix. A data set whose raw files are published uses `store.from_published` instead of the lines below.
    if steps < 2:
        raise ValueError(f"steps: is {steps}; a sequence needs at least 2")
    if root is None:
        raise FileNotFoundError(f"root: no folder was given; {card.obtain}, then pass --data.root FOLDER")
    folder = Path(root).expanduser()
    files = files_below(folder, (".csv",))
    if not files:
        raise FileNotFoundError(f"root: there is no CSV file in {folder}; {card.obtain}")
    # TODO: everything that decides the arrays is among the options of `prepared`: they name the folder in the cache.
    options = {"files": files_digest(files, folder), "steps": steps, "seed": seed}
    return prepared(card.name, options, lambda space: _build(files, steps, seed), cache)


def _build(files: list[Path], steps: int, seed: int) -> Sequences:
    # TODO: read the raw files. Data that do not fit in memory are written into `space.create(shape)`, see `sets/mug.py`.
    recordings = [_read(file)[:steps] for file in files]
    lengths = np.array([len(recording) for recording in recordings])
    x = np.zeros((len(files), steps, len(FEATURES)), np.float32)
    for row, recording in zip(x, recordings, strict=True):
        row[: len(recording)] = recording
    # TODO: label values may be of any type. A label is static (who) or dynamic (what is done).
    names = pattern_labels("{activity}_{person}_{index}", [file.name for file in files])
    # Rows in the order of the splits, so that each split is one block of the prepared file.
    order, splits = in_order_of_splits(split_by_group(np.arange(len(files)), (0.6, 0.2, 0.2), seed))
    x, lengths = x[order], lengths[order]
    # TODO: scaling is learned on the observed values of the train split only; frames are not scaled.
    observed = steps_below(lengths, steps)
    scaling = Scaling.fit(x[splits["train"]], observed[splits["train"]])
    return Sequences(
        zero_unobserved(scaling.apply(x), widen(observed, x)),
        card.name,
        lengths=lengths_or_none(lengths, steps),
        labels={
            "person": make_label("person", np.array(names["person"])[order], "static"),
            "activity": make_label("activity", np.array(names["activity"])[order], "dynamic"),
        },
        splits=splits,
        groups=order,
        scaling=scaling,
        feature_names=FEATURES,
        units=("m/s²",) * len(FEATURES),
        sampling_rate=20.0,
    )


def _read(file: Path) -> np.ndarray:
    try:
        values = np.loadtxt(file, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{file}: holds something else than numbers ({error}); correct it") from error
    if len(values) < 2 or values.shape[1] != len(FEATURES):
        raise ValueError(f"{file}: has shape {values.shape}; give two lines or more of three numbers each")
    return values
