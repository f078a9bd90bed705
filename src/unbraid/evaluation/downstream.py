"""Downstream tasks: labels and targets predicted from s, from d and from both, beside their floors.

The protocol of DBSE's tables 3, 5 and 8 (Berman et al., ICML 2024) and of GLR (Tonekaboni et al., AISTATS 2022): train an
encoder without labels, then a small predictor on its codes. Unlike the authors' code, ours keeps labels with their
inputs, gives the mask to the encoder, and takes posterior means as codes. Predictors are chosen on validation, then trained
on train and validation, anew for each repeat, and scored once over the whole split instead of as a mean over batches.
Every figure has an interval and floors, because several published figures do not beat a constant.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.data.sequences import Sequences
from unbraid.data.store import cache_folder
from unbraid.evaluation import intervals
from unbraid.evaluation.floors import plain_floors, raw_inputs
from unbraid.evaluation.linear_reader import read_linear
from unbraid.evaluation.network_reader import read_network
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.readers import Inputs, Reading, Task, best_reading, final_splits, path_summary
from unbraid.evaluation.repeats import check_repeats, seed_of_repeat
from unbraid.evaluation.scores import Scores
from unbraid.evaluation.tasks import downstream_tasks
from unbraid.files import write_atomically
from unbraid.generation import encode
from unbraid.masks import inside, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar
from unbraid.words import nearest

__all__ = ["CODES", "FLOORS", "MEASURE_TITLES", "PROTOCOL", "evaluate_downstream"]

VERSION = 6  # raise when floors change, so that older cached ones are not used
CODES = {"static": "static code", "dynamic": "dynamic codes", "both": "both codes"}
MEASURES = {
    "binary": ("auroc", "auprc", "accuracy"),
    "classes": ("accuracy", "balanced_accuracy"),
    "target": ("mae", "skill"),
}
MEASURE_TITLES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mae": "mean absolute error (low is good)",
    "skill": "skill: 1 − MAE / MAE of a constant",
}
LOW_IS_GOOD = ("mae",)
FLOORS = {
    "constant": "constant",
    "raw_linear": "raw series, linear",
    "raw_chosen": "raw series, linear on chosen summaries",
    "raw_rich": "raw series, linear on rich summaries",
    "raw_boosting": "raw series, gradient boosting on rich summaries",
    "raw_neighbour": "raw series, nearest neighbour",
    "raw_centroid": "raw series, nearest centre",
    "raw_network": "raw series, network end to end",
}


def evaluate_downstream(
    model: SequenceModel,
    data: Sequences,
    *,
    split: str = "test",
    repeats: int = 3,
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    resamples: int = 1000,
    batch_size: int = 256,
    cache: str | Path | None = None,
) -> Scores:
    """Predict the labels and targets of a data set from a model's codes.

    Readers (see `unbraid.evaluation.readers`) are trained on `train` with the posterior means as input, chosen on
    `validation`, trained again on both (unless `split` is `validation`) and scored on `split` once. From both codes they
    read s, d or s with d, whichever has the lowest validation loss.

    Labels of two classes give `auroc` and `auprc` (of class 1) and `accuracy`, other labels
    `accuracy` and `balanced_accuracy`, targets `mae` (in the target's unit) and `skill` = 1 - MAE / MAE of the
    median. Every figure is `{"mean", "std", "floor", "low", "high"}`: mean and std (ddof 0) over the repeats,
    each with a network trained anew from its own seed (the linear reader has one solution, so its std is 0); low and
    high bound 95% of the bootstrap resamples of the split's sequences, or of its groups where sequences share one; floor
    is the best of the plain floors on the same split, so a score above it is above them all.

    Keys of the result:

    - `tasks/<name>/codes/<static|dynamic|both>/<linear|network>/<figure>`, and there `chosen`: the settings
      that validation chose; for the linear reader `cross_validated`: the figures over train and validation in five folds
      with these settings (single splits are small; a little too good, as validation chose the settings).
    - `tasks/<name>/floors/<floor>/<figure>`: `constant`; and for vectors and windows `raw_linear`, `raw_chosen`,
      `raw_rich`, `raw_boosting`, `raw_neighbour`, `raw_centroid` (see `unbraid.evaluation.floors`) and `raw_network`, the network end to end on the
      raw series.
    - `tasks/<name>/{kind, level, classes}`.
    - `left_out`: name of each label or target that cannot be scored, and why.
    - `protocol`: data, fingerprint, split, sequences, groups (the units of the bootstrap), repeats, seed,
      resamples.

    Args:
        model: a trained model that encodes.
        data: its data set, with splits `train`, `validation` and `split`, and labels or targets.
        split: the split to score.
        repeats: networks trained from scratch, each from its own seed.
        seed: of the networks and of the resamples. The global random state is left alone.
        tasks: names of the labels and targets to predict; None for all.
        resamples: bootstrap resamples.
        batch_size: sequences encoded at a time.
        cache: folder of the computed floors; None for the library's own.

    Raises:
        ValueError: a model that cannot encode, missing splits, labels or targets, repeats or resamples below 1.
    """
    _check(model, data, split, repeats, resamples)
    to_predict, left_out = downstream_tasks(data, split, tasks)
    parts = {name: data.split(name) for name in ("train", "validation", split)}
    inputs = _code_inputs(model, parts, batch_size) if to_predict else {}
    units = _units(parts[split])
    draws = intervals.draw_weights(units, resamples, seed)
    scores: dict[str, Any] = {}
    passes = len(to_predict) * len(CODES) * (repeats + 1)
    with progress_bar(f"downstream tasks of {data.name}", passes) as advance:
        for task in to_predict:
            floors = _floors(task, data, parts, split, repeats, seed, draws, cache)
            best = {name: figure["floor"] for name, figure in floors["constant"].items()}
            readings: dict[str, dict[str, list[Reading]]] = {}
            for code, of_splits in inputs.items():
                readings[code] = {"linear": [read_linear(task, of_splits)], "network": []}
                advance(f"{task.name} from {code}")
                for repeat in range(repeats):
                    readings[code]["network"].append(
                        read_network(task, of_splits, seed_of_repeat(seed, repeat))
                    )
                    advance(f"{task.name} from {code}")
            readings["both"] = _chosen_codes(readings)
            by_code = {
                code: {
                    reader: _with_floor(_figures(task, several, split, draws), best)
                    | _cross_validated(task, several[0])
                    | {"chosen": [reading.chosen for reading in several]}
                    for reader, several in readers.items()
                }
                for code, readers in readings.items()
            }
            scores[task.name] = {
                "kind": task.kind,
                "level": task.level,
                "classes": len(task.classes),
                "codes": by_code,
                "floors": floors,
            }
    protocol = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(parts[split]),
        "groups": len(np.unique(units)),
        "repeats": repeats,
        "seed": seed,
        "resamples": resamples,
    }
    return Scores(tasks=scores, left_out=left_out, protocol=protocol)


def _check(model: SequenceModel, data: Sequences, split: str, repeats: int, resamples: int) -> None:
    model.require("encode")
    check_repeats(repeats)
    check_repeats(resamples, "resamples")
    if split == "train":
        raise ValueError("split: readers are trained on 'train'; score another split")
    for name in ("train", "validation", split):
        if name not in data.splits:
            raise ValueError(f"split: {data.name} has no split {name!r}{nearest(name, data.splits)}")


def _code_inputs(
    model: SequenceModel, parts: Mapping[str, Sequences], batch_size: int
) -> dict[str, dict[str, Inputs]]:
    """For s, d and both: the inputs of the readers for each split."""
    inputs: dict[str, dict[str, Inputs]] = {name: {} for name in CODES}
    for split, part in parts.items():
        codes = encode(model, part, batch_size)
        steps = inside(part.observed())
        s = codes.static.double().numpy()
        d = zero_unobserved(codes.dynamic.double().numpy(), steps)
        summary = path_summary(d, steps)
        of_path = (d.shape[2],) * 4
        both = np.concatenate([s, summary], 1)
        units = part.groups
        inputs["static"][split] = Inputs(s, d[:, :, :0], steps, s, units=units)
        inputs["dynamic"][split] = Inputs(s[:, :0], d, steps, summary, groups=of_path, units=units)
        inputs["both"][split] = Inputs(s, d, steps, both, groups=(s.shape[1], *of_path), units=units)
    return inputs


def _units(part: Sequences) -> np.ndarray:
    """The units of the bootstrap: groups where sequences have them, else sequences."""
    return np.arange(len(part)) if part.groups is None else part.groups


def _chosen_codes(readings: Mapping[str, Mapping[str, list[Reading]]]) -> dict[str, list[Reading]]:
    """For each reader and repeat: the reading of s, of d or of both that has the lowest validation loss."""
    return {
        reader: [
            best_reading({code: readings[code][reader][repeat] for code in CODES})
            for repeat in range(len(readings["both"][reader]))
        ]
        for reader in readings["both"]
    }


# ---- figures --------------------------------------------------------------------------------------------


def _values(task: Task, guess: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The value of every measure of a task for each row of weights."""
    if task.kind == "binary":
        both = (guess[:, 1], truth == 1, weights)
        return {
            "auroc": intervals.auroc(*both),
            "auprc": intervals.auprc(*both),
            "accuracy": intervals.accuracy(guess, truth, weights),
        }
    if task.kind == "classes":
        return {
            "accuracy": intervals.accuracy(guess, truth, weights),
            "balanced_accuracy": intervals.balanced_accuracy(guess, truth, weights),
        }
    trained_on, _ = final_splits(task.truth)
    median = np.full(
        truth.shape, np.nanmedian(np.concatenate([task.truth[part].ravel() for part in trained_on]))
    )
    mae = intervals.mean_absolute_error(guess, truth, weights)
    return {"mae": mae, "skill": 1 - mae / intervals.mean_absolute_error(median, truth, weights)}


def _figures(
    task: Task, readings: list[Reading], split: str, draws: np.ndarray
) -> dict[str, dict[str, float]]:
    """Mean and spread over the repeats, and the interval of the mean under the draws."""
    truth = task.truth[split]
    several = [_values(task, reading.guesses[split], truth, draws) for reading in readings]
    figures = {}
    for name in MEASURES[task.kind]:
        values = np.stack([of_reading[name] for of_reading in several])
        low, high = intervals.interval(values[:, 1:].mean(0))
        figures[name] = {
            "mean": float(values[:, 0].mean()),
            "std": float(values[:, 0].std()),
            "low": low,
            "high": high,
        }
    return figures


def _cross_validated(task: Task, reading: Reading) -> dict[str, dict[str, float]]:
    """The figures of cross-validation over train and validation together, where the reader has it."""
    guess = reading.cross_validated
    if guess is None:
        return {}
    truth = np.concatenate([task.truth[split] for split in ("train", "validation")])
    if task.kind == "target":
        truth = np.where(np.isnan(guess), np.nan, truth)
    else:
        predicted = ~np.isnan(guess).any(1)
        guess, truth = guess[predicted], truth[predicted]
    values = _values(task, guess, truth, np.ones((1, len(truth))))
    return {"cross_validated": {name: float(value[0]) for name, value in values.items()}}


def _with_floor(figures: dict[str, dict[str, float]], floor: Mapping[str, float]) -> dict[str, Any]:
    return {name: figure | {"floor": floor[name]} for name, figure in figures.items()}


# ---- floors ---------------------------------------------------------------------------------------------


def _floors(
    task: Task,
    data: Sequences,
    parts: Mapping[str, Sequences],
    split: str,
    repeats: int,
    seed: int,
    draws: np.ndarray,
    cache: str | Path | None,
) -> dict[str, Any]:
    """Figures of every floor, computed once for the same data; `floor` is the best plain one of the split."""
    path = _cache_path(task, data, split, repeats, seed, draws, cache)
    if path.exists():
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            pass  # damaged: compute it again
    series = data.kind != "frames"
    inputs = raw_inputs(parts) if series else None
    readings = {name: [reading] for name, reading in plain_floors(task, inputs).items()}
    if inputs is not None:
        seeds = [seed_of_repeat(seed, repeat) for repeat in range(repeats)]
        readings["raw_network"] = [read_network(task, inputs, each) for each in seeds]
    of_floors = {name: _figures(task, several, split, draws) for name, several in readings.items()}
    best = {
        name: (min if name in LOW_IS_GOOD else max)(
            figures[name]["mean"] for floor, figures in of_floors.items() if floor != "raw_network"
        )
        for name in MEASURES[task.kind]
    }
    floors = {name: _with_floor(figures, best) for name, figures in of_floors.items()}
    write_atomically(path, json.dumps(floors, indent=1) + "\n")
    return floors


def _cache_path(
    task: Task,
    data: Sequences,
    split: str,
    repeats: int,
    seed: int,
    draws: np.ndarray,
    cache: str | Path | None,
) -> Path:
    digest = hashlib.sha256(np.ascontiguousarray(draws).tobytes())
    for part in ("train", "validation", split):
        digest.update(np.ascontiguousarray(data.splits[part], dtype=np.int64).tobytes())
        digest.update(np.ascontiguousarray(task.truth[part]).tobytes() + part.encode())
    identity = [VERSION, data.fingerprint, task.name, task.kind, task.classes, repeats, seed]
    digest.update(json.dumps(identity).encode())
    return cache_folder(cache) / "floors" / f"{data.name}-{digest.hexdigest()[:16]}.json"


def _unsuited(data: Sequences) -> str:
    if data.kind not in ("vectors", "windows"):
        return "readers of codes are for time series"
    return "" if data.labels or data.targets else "the data have neither labels nor targets"


PROTOCOL = Protocol(
    name="downstream",
    title="Downstream tasks",
    needs=frozenset({"encode"}),
    unsuited=_unsuited,
    evaluate=evaluate_downstream,
)
