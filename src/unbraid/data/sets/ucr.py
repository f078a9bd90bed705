"""Problems of the UCR and UEA archives: series with a class each, to be predicted from the codes.

A problem is two files, `<Problem>_TRAIN.ts` and `<Problem>_TEST.ts`, in one folder or in a folder of the problem's name (see
`unbraid.data.formats.ts`). Series have one feature or several and may differ in length; values may be missing.

The test split is the archive's test part. Train and validation are the archive's train part, split at random within each
class. Many problems have fewer than a hundred training series, so a score depends on the seed of that split.
"""

from pathlib import Path

import numpy as np

from unbraid.cards import DataCard
from unbraid.data.checks import check_whole
from unbraid.data.formats.paths import files_digest
from unbraid.data.formats.ts import ClassifiedSeries, read_ts
from unbraid.data.formats.windows import cut_windows, default_window, scale_windows
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences, lengths_or_none
from unbraid.data.splits import SPLITS, in_order_of_splits
from unbraid.data.store import prepared
from unbraid.words import nearest

__all__ = ["card", "load"]

card = DataCard(
    name="ucr",
    summary="a problem of the UCR and UEA archives: series with one class each; the shape is that of GunPoint",
    source="https://www.timeseriesclassification.com, where each problem names its origin",
    licence="differs from problem to problem; see the archives' page of the problem",
    obtain="get the .ts files of a problem from the archives (see the source), or write your own in this form",
    shape=(13, 12, 1),
    kind="windows",
    protocols=("downstream",),
    choices=(
        "windows: a twelfth of the longest training series; another length with --data.window",
        "validation: a fifth of each class of the archive's train part; the test part is left as it is",
    ),
)

TRAIN, TEST = "_TRAIN.ts", "_TEST.ts"


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    problem: str | None = None,
    window: int | None = None,
    validation: float = 0.2,
    seed: int = 0,
) -> Sequences:
    """Load a problem: x `(N, T, W, F)` float32 with a mask and lengths, scaled on train; static label `class`.

    A series that fills one window alone gets a second one without values, because a sequence has at least two steps.

    Args:
        root: the folder with the files of the problem, or with a folder of them.
        cache: where the prepared arrays are kept; None for UNBRAID_CACHE or the user's cache folder.
        problem: its name, as GunPoint.
        window: rows W of a window; None for a twelfth of the longest training series, at least 1. With windows of 1 row, x is
            `(N, T, F)`.
        validation: share of each class of the train part that is for validation; at least one series of a class is trained on.
        seed: of the validation split.

    Raises:
        FileNotFoundError: no root, or it does not hold the two files of the problem.
        ValueError: no problem, a file that cannot be read, files that do not fit one another, or an option out of its range.
    """
    if window is not None:
        check_whole("window", window, 1)
    if not 0 < validation < 1:
        raise ValueError(f"validation: is {validation}; give a share between 0 and 1")
    check_whole("seed", seed, 0)
    if root is None:
        raise FileNotFoundError(f"root: no folder was given; {card.obtain}, then pass --data.root FOLDER")
    folder = Path(root).expanduser()
    files = _files(folder, problem)
    options = {
        "problem": problem,
        "files": files_digest(files, files[0].parent),
        "window": window,
        "validation": validation,
        "seed": seed,
    }
    return prepared("ucr", options, lambda space: _build(files, window, validation, seed), cache)


def _files(folder: Path, problem: str | None) -> list[Path]:
    """The files of a problem: its train part, its test part."""
    paths = [*folder.glob(f"*{TRAIN}"), *folder.glob(f"*/*{TRAIN}")]
    problems = sorted({path.name.removesuffix(TRAIN) for path in paths})
    if not problems:
        raise FileNotFoundError(f"root: there is no file *{TRAIN} in {folder}; {card.obtain}")
    if problem is None:
        raise ValueError(f"problem: none was named; {folder} holds {', '.join(problems)}")
    for place in (folder, folder / problem):
        files = [place / f"{problem}{part}" for part in (TRAIN, TEST)]
        if all(file.is_file() for file in files):
            return files
    if problem in problems:
        raise FileNotFoundError(f"root: {folder} has no file {problem}{TEST} beside {problem}{TRAIN}; add it")
    raise FileNotFoundError(
        f"problem: there is no {problem!r}{nearest(problem, problems)} in {folder}; it holds {', '.join(problems)}"
    )


def _build(files: list[Path], window: int | None, validation: float, seed: int) -> Sequences:
    train, test = (read_ts(file) for file in files)
    _check_fit(train, test, files[1])
    series = [*train.series, *test.series]
    values = np.array([train.classes.index(name) for name in (*train.labels, *test.labels)])
    held = _held_out(values[: len(train.series)], validation, seed)
    rows = (np.setdiff1d(np.arange(len(train.series)), held), held, np.arange(len(train.series), len(series)))
    order, splits = in_order_of_splits(dict(zip(SPLITS, rows, strict=True)))
    window = window or default_window(max(map(len, train.series)))
    windows, lengths = cut_windows([series[row] for row in order], window)
    if windows.shape[1] < 2:
        raise ValueError(f"window: {window} rows are as long as the longest series; give fewer")
    x, mask, scaling = scale_windows(windows, splits["train"])
    if window == 1:
        x, mask = x[:, :, 0], mask[:, :, 0]
    return Sequences(
        x,
        "ucr",
        lengths=lengths_or_none(np.maximum(lengths, 2), x.shape[1]),
        mask=None if mask.all() else mask,
        labels={"class": Label(values[order], train.classes, "static")},
        splits=splits,
        scaling=scaling,
    )


def _check_fit(train: ClassifiedSeries, test: ClassifiedSeries, test_file: Path) -> None:
    """Refuse a test part with other features or classes than the train part."""
    features = train.series[0].shape[1]
    if test.series[0].shape[1] != features:
        raise ValueError(
            f"{test_file}: has {test.series[0].shape[1]} features; the train part has {features}"
        )
    for name in test.labels:
        if name not in train.classes:
            raise ValueError(
                f"{test_file}: class {name!r} is not among those of the train part's @classLabel"
            )


def _held_out(values: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The rows for validation: a share of each class, and never all of it."""
    random = np.random.default_rng(seed)
    held = []
    for number in np.unique(values):
        rows = random.permutation(np.flatnonzero(values == number))
        held.append(rows[: min(round(share * len(rows)), len(rows) - 1)])
    rows = np.sort(np.concatenate(held))
    if not len(rows):
        raise ValueError(f"validation: {share} of each class is less than one series; give a larger share")
    return rows
