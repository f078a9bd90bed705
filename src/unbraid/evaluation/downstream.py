"""Downstream tasks: labels and targets predicted from s, from d and from both, beside their floors.

The protocol of DBSE's tables 3, 5 and 8 (Berman et al., ICML 2024) and of GLR (Tonekaboni et al., AISTATS 2022): train an
encoder without labels, then a small predictor on its codes. Unlike the authors' code, ours keeps labels with their
inputs, gives the mask to the encoder, and takes posterior means as codes. Predictors are chosen on validation, trained
anew for each repeat, and scored once over the whole split instead of as a mean over batches. Every figure has an interval
and floors, because several published figures do not beat a constant.
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
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.readers import Inputs, Reading, Task, path_summary, read_linear, read_network
from unbraid.evaluation.repeats import check_repeats, seed_of_repeat
from unbraid.evaluation.scores import Scores
from unbraid.files import write_atomically
from unbraid.generation import encode
from unbraid.masks import inside, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar
from unbraid.words import nearest

__all__ = ["CODES", "FLOORS", "MEASURE_TITLES", "PROTOCOL", "downstream_tasks", "evaluate_downstream"]

VERSION = 3  # raise when floors change, so that older cached ones are not used
CODES = {"static": "static code", "dynamic": "dynamic codes", "both": "both codes"}
MEASURES = {
    "binary": ("auroc", "auprc"),
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
    `validation` and scored on `split` once. Labels of two classes give `auroc` and `auprc` (of class 1), other labels
    `accuracy` and `balanced_accuracy`, targets `mae` (in the target's unit) and `skill` = 1 - MAE / MAE of the
    training median. Every figure is `{"mean", "std", "floor", "low", "high"}`: mean and std (ddof 0) over the repeats,
    each with a network trained anew from its own seed (the linear reader has one solution, so its std is 0); low and
    high bound 95% of the bootstrap resamples of the split's sequences, or of its groups where sequences share one; floor
    is the best of the plain floors on the same split, so a score above it is above them all.

    Keys of the result:

    - `tasks/<name>/codes/<static|dynamic|both>/<linear|network>/<figure>`, and there `chosen`: the settings
      that validation chose.
    - `tasks/<name>/floors/<floor>/<figure>`: `constant`; and for vectors and windows `raw_linear`, `raw_chosen`,
      `raw_neighbour`, `raw_centroid` (see `unbraid.evaluation.floors`) and `raw_network`, the network end to end on the
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
            by_code: dict[str, Any] = {}
            for code, of_splits in inputs.items():
                readings = {"linear": [read_linear(task, of_splits)], "network": []}
                advance(f"{task.name} from {code}")
                for repeat in range(repeats):
                    readings["network"].append(read_network(task, of_splits, seed_of_repeat(seed, repeat)))
                    advance(f"{task.name} from {code}")
                by_code[code] = {
                    reader: _with_floor(_figures(task, several, split, draws), best)
                    | {"chosen": [reading.chosen for reading in several]}
                    for reader, several in readings.items()
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


def downstream_tasks(
    data: Sequences, split: str = "test", names: Sequence[str] | None = None
) -> tuple[list[Task], dict[str, str]]:
    """The labels and targets of a data set as tasks, and why the others are left out.

    Raises:
        ValueError: `names` has one that is neither label nor target, or there are none at all.
    """
    every = [*data.labels, *data.targets]
    if not every:
        raise ValueError(f"data: {data.name} has neither labels nor targets, so there is nothing to predict")
    for name in names or ():
        if name not in every:
            raise ValueError(f"tasks: {data.name} has no label or target {name!r}{nearest(name, every)}")
    tasks, left_out = [], {}
    for name in every if names is None else names:
        task = (_label_task if name in data.labels else _target_task)(data, name, split)
        if reason := _unscorable(task, split):
            left_out[name] = reason
        else:
            tasks.append(task)
    return tasks, left_out


def _rows(data: Sequences, split: str) -> dict[str, np.ndarray]:
    return {part: data.splits[part] for part in ("train", "validation", split)}


def _label_task(data: Sequences, name: str, split: str) -> Task:
    label = data.labels[name]
    truth = {part: label.values[rows] for part, rows in _rows(data, split).items()}
    kind = "binary" if len(label.classes) == 2 else "classes"
    return Task(name, kind, "sequence", label.classes, truth)  # type: ignore[arg-type]


def _target_task(data: Sequences, name: str, split: str) -> Task:
    values = data.targets[name]
    truth = {part: values[rows].astype(np.float64) for part, rows in _rows(data, split).items()}
    if values.ndim == 1:
        return Task(name, "target", "sequence", (), truth)
    for part, rows in _rows(data, split).items():
        truth[part] = np.where(inside(data.observed(rows)), truth[part], np.nan)
    return Task(name, "target", "step", (), truth)


def _unscorable(task: Task, split: str) -> str:
    """Why a task cannot be scored, or nothing."""
    for part, truth in task.truth.items():
        if task.kind == "target":
            if np.isnan(truth).all():
                return f"no value is known in {part}"
        elif len(np.unique(truth)) < 2 and (part == "train" or task.kind == "binary"):
            return f"all of {part} is {task.classes[truth[0]]}"
    if task.kind == "classes" and not np.isin(task.truth[split], task.truth["train"]).any():
        return f"no class of {split} is in train"
    return ""


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
        inputs["static"][split] = Inputs(s, d[:, :, :0], steps, s)
        inputs["dynamic"][split] = Inputs(s[:, :0], d, steps, summary, groups=of_path)
        inputs["both"][split] = Inputs(
            s, d, steps, np.concatenate([s, summary], 1), groups=(s.shape[1], *of_path)
        )
    return inputs


def _units(part: Sequences) -> np.ndarray:
    """The units of the bootstrap: groups where sequences have them, else sequences."""
    return np.arange(len(part)) if part.groups is None else part.groups


# ---- figures --------------------------------------------------------------------------------------------


def _values(task: Task, guess: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The value of every measure of a task for each row of weights."""
    if task.kind == "binary":
        both = (guess[:, 1], truth == 1, weights)
        return {"auroc": intervals.auroc(*both), "auprc": intervals.auprc(*both)}
    if task.kind == "classes":
        return {
            "accuracy": intervals.accuracy(guess, truth, weights),
            "balanced_accuracy": intervals.balanced_accuracy(guess, truth, weights),
        }
    median = np.full(truth.shape, np.nanmedian(task.truth["train"]))
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
    inputs = {name: raw_inputs(part) for name, part in parts.items()} if series else None
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
