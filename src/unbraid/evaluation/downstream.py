"""What the codes are good for: labels and targets told from s, from d and from both, beside their floors.

The protocol of DBSE's tables 3, 5 and 8 (Berman et al., ICML 2024) and of GLR (Tonekaboni et al., AISTATS 2022):
train an encoder without labels, then a small predictor on its codes. What ours does not share with their code: labels
stay with their inputs and the mask reaches the encoder; codes are posterior means; predictors are chosen on validation,
trained anew for each repeat, and scored once, over the whole split and not as a mean over batches; and every figure has
an interval and floors, because several published figures do not beat a constant.
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
from unbraid.evaluation.floors import plain_floors, raw_view, valid_steps
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.readers import Reading, Task, View, path_summary, read_linear, read_network
from unbraid.files import write_atomically
from unbraid.generation import encode
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar
from unbraid.words import nearest

__all__ = ["PROTOCOL", "downstream_tasks", "evaluate_downstream"]

VERSION = 3  # raise when floors change, so that older cached ones are not used
PARTS = ("static", "dynamic", "both")
FIGURES = {
    "binary": ("auroc", "auprc"),
    "classes": ("accuracy", "balanced_accuracy"),
    "target": ("mae", "skill"),
}
BETTER_LOW = ("mae",)

Figure = dict[str, float]


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
) -> dict[str, Any]:
    """Tell the labels and targets of a data set from a model's codes.

    Readers (see `unbraid.evaluation.readers`) are trained on `train` with the posterior means as input, chosen on
    `validation` and scored on `split` once. Labels of two classes give `auroc` and `auprc` (of class 1), other labels
    `accuracy` and `balanced_accuracy`, targets `mae` (in the target's unit) and `skill` = 1 - MAE / MAE of the
    training median. Every figure is `{"mean", "std", "floor", "low", "high"}`: mean and std (ddof 0) over the repeats,
    each with a network trained anew from its own seed (the linear reader has one solution, so its std is 0); low and
    high bound 95% of the bootstrap resamples of the split's sequences, or of its groups where sequences share one;
    floor is the best of the plain floors on the same split, so that what exceeds it exceeds them all.

    Keys of the result:

    - `tasks/<name>/codes/<static|dynamic|both>/<linear|network>/<figure>`, and there `chosen`: what validation chose.
    - `tasks/<name>/floors/<floor>/<figure>`: `constant`; and for vectors and windows `raw_linear`, `raw_chosen`,
      `raw_neighbour`, `raw_centroid` (see `unbraid.evaluation.floors`) and `raw_network`, the network end to end on the
      raw series.
    - `tasks/<name>/{kind, level, classes}`.
    - `left_out`: name of each label or target that cannot be scored, and why.
    - `protocol`: data, fingerprint, split, sequences, groups (what is drawn for the intervals), repeats, seed,
      resamples.

    Args:
        model: a trained model that encodes.
        data: its data set, with splits `train`, `validation` and `split`, and labels or targets.
        split: the split to score.
        repeats: networks trained from scratch, each from its own seed.
        seed: of the networks and of the resamples. The global random state is left alone.
        tasks: names of the labels and targets to tell; None for all.
        resamples: bootstrap resamples.
        batch_size: sequences encoded at a time.
        cache: folder of the floors that were computed before; None for the library's own.

    Raises:
        ValueError: a model that cannot encode, splits, labels or targets that are not there, repeats or resamples
            below 1.
    """
    _check(model, data, split, repeats, resamples)
    wanted, left_out = downstream_tasks(data, split, tasks)
    parts = {name: data.split(name) for name in ("train", "validation", split)}
    views = _code_views(model, parts, batch_size) if wanted else {}
    units = _units(parts[split])
    draws = intervals.draw_weights(units, resamples, seed)
    scores: dict[str, Any] = {}
    with progress_bar(f"downstream tasks of {data.name}", len(wanted) * len(PARTS) * (repeats + 1)) as done:
        for task in wanted:
            floors = _floors(task, data, parts, split, repeats, seed, draws, cache)
            best = {name: figure["floor"] for name, figure in floors["constant"].items()}
            found: dict[str, Any] = {}
            for part, view in views.items():
                readings = {"linear": [read_linear(task, view)], "network": []}
                done(f"{task.name} from {part}")
                for repeat in range(repeats):
                    readings["network"].append(read_network(task, view, _seed(seed, repeat)))
                    done(f"{task.name} from {part}")
                found[part] = {
                    reader: _with_floor(_figures(task, several, split, draws), best)
                    | {"chosen": [reading.chosen for reading in several]}
                    for reader, several in readings.items()
                }
            scores[task.name] = {
                "kind": task.kind,
                "level": task.level,
                "classes": len(task.classes),
                "codes": found,
                "floors": floors,
            }
    return {
        "tasks": scores,
        "left_out": left_out,
        "protocol": {
            "data": data.name,
            "fingerprint": data.fingerprint,
            "split": split,
            "clips": len(parts[split]),
            "groups": len(np.unique(units)),
            "repeats": repeats,
            "seed": seed,
            "resamples": resamples,
        },
    }


def downstream_tasks(
    data: Sequences, split: str = "test", names: Sequence[str] | None = None
) -> tuple[list[Task], dict[str, str]]:
    """The tasks that a data set's labels and targets make, and why the others are left out.

    Raises:
        ValueError: `names` has one that is neither label nor target, or there are none at all.
    """
    known = [*data.labels, *data.targets]
    if not known:
        raise ValueError(f"data: {data.name} has neither labels nor targets, so there is nothing to tell")
    for name in names or ():
        if name not in known:
            raise ValueError(f"tasks: {data.name} has no label or target {name!r}{nearest(name, known)}")
    tasks, left_out = [], {}
    rows = {part: data.splits[part] for part in ("train", "validation", split)}
    for name in known if names is None else names:
        if name in data.labels:
            label = data.labels[name]
            kind, level, classes = (
                "binary" if len(label.classes) == 2 else "classes",
                "sequence",
                label.classes,
            )
            truth = {part: label.values[index] for part, index in rows.items()}
        else:
            values = data.targets[name]
            kind, level, classes = "target", "step" if values.ndim == 2 else "sequence", ()
            truth = {part: values[index].astype(np.float64) for part, index in rows.items()}
            if values.ndim == 2:
                inside = {part: valid_steps(data.take(index)) for part, index in rows.items()}
                truth = {part: np.where(inside[part], found, np.nan) for part, found in truth.items()}
        task = Task(name, kind, level, classes, truth)  # type: ignore[arg-type]
        if why := _why_not(task, split):
            left_out[name] = why
        else:
            tasks.append(task)
    return tasks, left_out


def _why_not(task: Task, split: str) -> str:
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
    if "encode" not in model.card.capabilities:
        raise ValueError(f"model: {model.card.name} cannot encode, so it has no codes to read")
    for name, value in (("repeats", repeats), ("resamples", resamples)):
        if value < 1:
            raise ValueError(f"{name}: {value}; give at least 1")
    if split == "train":
        raise ValueError("split: readers are trained on 'train'; score another split")
    for name in ("train", "validation", split):
        if name not in data.splits:
            raise ValueError(f"split: {data.name} has no split {name!r}{nearest(name, data.splits)}")


def _code_views(
    model: SequenceModel, parts: Mapping[str, Sequences], batch_size: int
) -> dict[str, dict[str, View]]:
    """For s, d and both: what a reader sees of each split."""
    views: dict[str, dict[str, View]] = {name: {} for name in PARTS}
    for split, part in parts.items():
        codes = encode(model, part, batch_size)
        steps = valid_steps(part)
        s, d = codes.static.double().numpy(), codes.dynamic.double().numpy()
        d = np.where(steps[:, :, None], d, 0)
        summary = path_summary(d, steps)
        of_path = (d.shape[2],) * 4
        views["static"][split] = View(s, d[:, :, :0], steps, s)
        views["dynamic"][split] = View(s[:, :0], d, steps, summary, groups=of_path)
        views["both"][split] = View(
            s, d, steps, np.concatenate([s, summary], 1), groups=(s.shape[1], *of_path)
        )
    return views


def _units(part: Sequences) -> np.ndarray:
    """What the bootstrap draws: groups where any is shared, else sequences."""
    return np.arange(len(part)) if part.groups is None else part.groups


def _seed(seed: int, repeat: int) -> int:
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


# ---- figures --------------------------------------------------------------------------------------------


def _scored(task: Task, guess: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every figure of a task for each row of weights."""
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


def _figures(task: Task, readings: list[Reading], split: str, draws: np.ndarray) -> dict[str, Figure]:
    """Mean and spread over the repeats, and the interval of the mean under the draws."""
    truth = task.truth[split]
    several = [_scored(task, reading.guesses[split], truth, draws) for reading in readings]
    figures = {}
    for name in FIGURES[task.kind]:
        values = np.stack([scored[name] for scored in several])
        low, high = np.nanquantile(values[:, 1:].mean(0), (0.025, 0.975))
        figures[name] = {
            "mean": float(values[:, 0].mean()),
            "std": float(values[:, 0].std()),
            "low": float(low),
            "high": float(high),
        }
    return figures


def _with_floor(figures: dict[str, Figure], floor: Mapping[str, float]) -> dict[str, Any]:
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
    series = len(data.observation) < 3
    views = {name: raw_view(part) for name, part in parts.items()} if series else None
    readings = {name: [reading] for name, reading in plain_floors(task, views).items()}
    if views is not None:
        readings["raw_network"] = [read_network(task, views, _seed(seed, r)) for r in range(repeats)]
    found = {name: _figures(task, several, split, draws) for name, several in readings.items()}
    best = {
        figure: (min if figure in BETTER_LOW else max)(
            found[name][figure]["mean"] for name in found if name != "raw_network"
        )
        for figure in FIGURES[task.kind]
    }
    floors = {name: _with_floor(figures, best) for name, figures in found.items()}
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
