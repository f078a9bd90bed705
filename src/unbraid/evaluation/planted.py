"""Planted factors: what of each static and dynamic factor is read from s and from d, and which of the two decides it in swaps.

For data whose factors are known in full, as those that are made by code. A factor is a label or a target of the data set. Labels
say themselves whether they are static or dynamic; a target of whole sequences is static, a target of single steps is dynamic.

- *Codes*: a linear reader (see `unbraid.evaluation.linear_reader`) predicts each factor from s alone and from d alone: for a factor of
  single steps from d_t, for a factor of whole sequences from d pooled over the steps.
- *Swaps*: a sequence is decoded from its own d and the s of another one. A network that was trained on real sequences
  (`unbraid.evaluation.factor_reader`) reads each factor from it; this is compared with the factor of the sequence that gave s
  and of the one that gave d. Beside them: the same network on real and on rebuilt sequences.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbraid.data.sequences import Sequences
from unbraid.evaluation.factor_reader import read_factors, train_factor_reader
from unbraid.evaluation.floors import constant, raw_inputs
from unbraid.evaluation.judging import blocks
from unbraid.evaluation.leakage import raw_components
from unbraid.evaluation.linear_reader import read_linear
from unbraid.evaluation.planted_factors import PlantedFactor, planted_factors
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.readers import Inputs, Task, path_summary
from unbraid.evaluation.repeats import check_repeats, seed_of_repeat, some_rows
from unbraid.evaluation.scores import Figure, Scores, figures_over_repeats
from unbraid.evaluation.verification import in_parts
from unbraid.generation import decode, encode, partners
from unbraid.masks import inside, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar
from unbraid.types import Codes
from unbraid.words import nearest

__all__ = ["PROTOCOL", "evaluate_planted"]

CODES = ("static", "dynamic")
STRENGTHS = (1e-3, 1e-2, 0.1, 1.0)  # of the linear readers' regularisation


def evaluate_planted(
    model: SequenceModel,
    data: Sequences,
    *,
    split: str = "test",
    repeats: int = 3,
    seed: int = 0,
    clips: int | None = 2000,
    batch_size: int = 128,
    cache: str | Path | None = None,
) -> Scores:
    """Score where the factors of a data set are: in s or in d, and which code decides them in swapped sequences.

    Linear readers are trained on `train`, chosen on `validation`, trained again on both and scored on `split`.

    Keys of the result:

    - `codes/<factor>/<static|dynamic>`: R² (numbers), area under the ROC curve (0 or 1) or accuracy (classes) of the linear
      reader of that code. The floor is the better of the two below.
    - `floors/<factor>/<constant|raw>`: the same of a constant, and of the linear reader of raw values: of summaries and of the
      means of four parts for whole sequences, of the step's values for single steps.
    - `swaps/<factor>/<real|rebuilt|static_donor|dynamic_donor>`: agreement of what the network sees with the factor of the
      sequence itself (real, rebuilt), of the one that gave s, and of the one that gave d: accuracy, area under the ROC curve, or
      the correlation of numbers. The floor is the agreement of two sequences that have nothing to do with one another: a
      static factor should be at `rebuilt` for the donor of s and at the floor for the donor of d, a dynamic factor the other
      way round. Left out for methods that do not decode or whose decoder does not read s.
    - `labels`: kind, level, measure and number of classes of each factor.
    - `left_out`: factors that cannot be scored, and why.
    - `protocol`: data, fingerprint, split, clips, repeats, seed.

    Args:
        model: a trained model that encodes.
        data: its data set, with splits `train`, `validation` and `split`.
        split: the split to score.
        repeats: sets of partners, each from a seed of its own.
        seed: of the partners, the network and the choice of clips. The global random state is left alone.
        clips: the most sequences of each split, drawn from the seed; None for all.
        batch_size: sequences encoded and decoded at a time.
        cache: folder of the trained networks; None for the library's own.

    Raises:
        ValueError: a model that cannot encode, missing splits, no factors, `split` "train", repeats below 1.
    """
    check_repeats(repeats)
    model.require("encode")
    if split == "train":
        raise ValueError("split: readers are trained on 'train'; score another split")
    names = ("train", "validation", split)
    for name in names:
        if name not in data.splits:
            raise ValueError(f"split: {data.name} has no split {name!r}{nearest(name, data.splits)}")
    some = replace(
        data,
        splits={name: data.splits[name][some_rows(len(data.splits[name]), clips, seed)] for name in names},
    )
    factors, left_out = planted_factors(some, split)
    parts = {name: some.split(name) for name in names}
    codes = {name: encode(model, part, batch_size) for name, part in parts.items()}
    scores = Scores(_read_codes(factors, some, parts, codes, split))
    if model.can("decode") and model.can("decoded_static"):
        scores["swaps"] = _read_swaps(
            model, factors, some, codes[split], split, repeats, seed, batch_size, cache
        )
    else:
        left_out["swaps"] = "the method has no decoder that reads the static code"
    scores["labels"] = {
        factor.task.name: {
            "kind": factor.kind,
            "part_of": label.part_of if (label := data.labels.get(factor.task.name)) else None,
            "level": factor.task.level,
            "measure": factor.measure,
            "classes": len(factor.task.classes),
        }
        for factor in factors
    }
    scores["left_out"] = left_out
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(parts[split]),
        "clips_trained_on": len(parts["train"]),
        "repeats": repeats,
        "seed": seed,
        "std": "over the partners in swaps",
    }
    return scores


# ---- codes ----------------------------------------------------------------------------------------------


def _read_codes(
    factors: Sequence[PlantedFactor],
    data: Sequences,
    parts: Mapping[str, Sequences],
    codes: Mapping[str, Codes],
    split: str,
) -> dict[str, Any]:
    """Each factor from each code, beside its floors."""
    inputs = {name: _code_inputs(parts[name], codes[name]) for name in parts}
    raw = _raw_inputs(data, parts)
    of_codes: dict[str, Any] = {}
    of_floors: dict[str, Any] = {}
    with progress_bar(f"factors of {data.name} from the codes", 3 * len(factors)) as advance:
        for factor in factors:
            task = factor.task

            def score(of_splits: Mapping[str, Inputs], factor: PlantedFactor = factor) -> float | None:
                advance(factor.task.name)
                if not _columns(factor.task, of_splits["train"]):
                    return None
                guess = read_linear(factor.task, of_splits, STRENGTHS, cross_validate=False).guesses[split]
                return factor.score(guess, factor.task.truth[split])

            floors = {
                "constant": factor.score(constant(task).guesses[split], task.truth[split]),
                "raw": score(raw),
            }
            of_floors[task.name] = {
                name: Figure(value).to_json() for name, value in floors.items() if value is not None
            }
            floor = max(value for value in floors.values() if value is not None)
            read = {code: score({name: both[code] for name, both in inputs.items()}) for code in CODES}
            of_codes[task.name] = {
                code: Figure(value, floor=floor).to_json()
                for code, value in read.items()
                if value is not None
            }
    return {"codes": of_codes, "floors": of_floors}


def _columns(task: Task, inputs: Inputs) -> int:
    """Columns that the linear reader gets; none where a method has no such code."""
    return (inputs.table if task.level == "sequence" else inputs.step_table()).shape[-1]


def _code_inputs(part: Sequences, codes: Codes) -> dict[str, Inputs]:
    """S and d of the sequences of one split as inputs of the linear reader."""
    steps = inside(part.observed())
    s = codes.static.double().numpy()
    d = zero_unobserved(codes.dynamic.double().numpy(), steps)
    return {
        "static": Inputs(s, d[:, :, :0], steps, s),
        "dynamic": Inputs(s[:, :0], d, steps, _pooled(d, steps)),
    }


def _pooled(path: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Mean, deviation, last value and change of a path, and the means of four parts of it in order."""
    return np.concatenate([path_summary(path, steps), _parts(path, steps)], 1)


def _parts(path: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return in_parts([row[inside_it] for row, inside_it in zip(path, steps, strict=True)])


def _raw_inputs(data: Sequences, parts: Mapping[str, Sequences]) -> dict[str, Inputs]:
    """Raw values as inputs of the linear reader; of frames principal components, and nothing of single steps."""
    if data.kind == "frames":
        rows = [data.splits[name] for name in parts]
        components = raw_components(data, data.take(np.concatenate(rows)))
        tables = np.split(components, np.cumsum([len(each) for each in rows])[:-1])
        return {
            name: Inputs(table[:, :0], np.zeros((*part.x.shape[:2], 0)), inside(part.observed()), table)
            for (name, part), table in zip(parts.items(), tables, strict=True)
        }
    return {
        name: Inputs(of.static, of.path, of.steps, np.concatenate([of.table, _parts(of.means, of.steps)], 1))
        for name, of in raw_inputs(parts).items()
    }


# ---- swaps ----------------------------------------------------------------------------------------------


def _read_swaps(
    model: SequenceModel,
    factors: Sequence[PlantedFactor],
    data: Sequences,
    codes: Codes,
    split: str,
    repeats: int,
    seed: int,
    batch_size: int,
    cache: str | Path | None,
) -> dict[str, Any]:
    """What the network sees in real, rebuilt and swapped sequences."""
    reader = train_factor_reader(data, [factor.task for factor in factors], seed=seed, cache=cache)
    part = data.split(split)
    steps = torch.from_numpy(inside(part.observed()))

    def sequences(shown: Codes | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The real sequences, or decoded ones of which as much is hidden as of the real ones."""
        for rows in blocks(len(part), batch_size):
            batch = part.batch(rows)
            yield (
                (batch.x if shown is None else decode(model, shown[rows], batch_size, steps[rows])),
                batch.mask,
            )

    def agreement(seen: Mapping[str, np.ndarray], owner: np.ndarray | slice) -> dict[str, float]:
        return {
            factor.task.name: factor.score(seen[factor.task.name], factor.task.truth[split][owner], "swaps")
            for factor in factors
        }

    own = slice(None)
    found: dict[str, list[dict[str, float]]] = {
        "real": [agreement(read_factors(reader, sequences(None)), own)],
        "rebuilt": [agreement(read_factors(reader, sequences(codes)), own)],
        "static_donor": [],
        "dynamic_donor": [],
    }
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(seed_of_repeat(seed, repeat))
        other = partners(len(codes), generator)
        seen = read_factors(reader, sequences(Codes(codes.static[other], codes.dynamic)))
        found["static_donor"].append(agreement(seen, other))
        found["dynamic_donor"].append(agreement(seen, own))
    chance = {factor.task.name: factor.chance(factor.task.truth[split]) for factor in factors}
    figures = {test: figures_over_repeats(shares, chance) for test, shares in found.items()}
    return {
        factor.task.name: {test: of_test[factor.task.name] for test, of_test in figures.items()}
        for factor in factors
    }


def _unsuited(data: Sequences) -> str:
    kinds = {label.kind for label in data.labels.values()}
    kinds |= {"static" if values.ndim == 1 else "dynamic" for values in data.targets.values()}
    missing = {"static", "dynamic"} - kinds
    return f"the data have no {min(missing)} factor, label or target" if missing else ""


PROTOCOL = Protocol(
    name="planted",
    title="Planted factors",
    needs=frozenset({"encode"}),
    unsuited=_unsuited,
    evaluate=evaluate_planted,
    on_request=True,
)
