"""The labels and targets of a data set as tasks of prediction."""

from collections.abc import Sequence

import numpy as np

from unbraid.data.sequences import Sequences
from unbraid.evaluation.readers import Task
from unbraid.masks import inside
from unbraid.words import nearest

__all__ = ["downstream_tasks"]


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
