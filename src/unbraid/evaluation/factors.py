"""Factors: which coordinates of the codes carry which label, and what happens when one label's coordinates are exchanged.

The map (`unbraid.evaluation.factor_maps`) is found on one split (`validation`) and used on another (`test`). A label gets
parts of both codes, or only of the code of its kind (static or dynamic): whichever changes it alone more often on the split
where the map is found.

- *DCI, SAP, modularity*: see `unbraid.evaluation.factor_metrics`. Informativeness is the forests' accuracy.
- *exchange* (frames with a judge): each clip gets the coordinates of one label from a partner of another class. The judge
  should see the partner's class of that label and the clip's own classes of all others.

Floors: codes drawn at random, the raw values (principal components of the frames or series), and for the exchange a random
map that gives each label as many coordinates.

Barami et al. (NeurIPS 2025, Datasets and Benchmarks, https://arxiv.org/abs/2510.17313) score the Koopman methods in this way,
with map and scores on the same batch; ours keeps them apart and takes any method.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.tree import DecisionTreeClassifier

from unbraid.components import components_key, train_components
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import generation
from unbraid.evaluation.factor_exchanges import Map, choose_maps, exchange_scores, map_components
from unbraid.evaluation.factor_maps import (
    UnitTable,
    assign_units,
    exchange_factors,
    fit_forests,
    require_labels,
    unit_importance,
    unit_table,
    units_of,
    usable_labels,
)
from unbraid.evaluation.factor_metrics import (
    completeness,
    disentanglement,
    modularity,
    mutual_information,
    sap,
)
from unbraid.evaluation.judge import Judge, train_judge
from unbraid.evaluation.judging import JudgedModel, describe_label, parts_of
from unbraid.evaluation.leakage import raw_components
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.repeats import check_repeats, seed_of_repeat, some_rows
from unbraid.evaluation.scores import Scores, figures_over_repeats
from unbraid.generation import encode
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar
from unbraid.types import Factor

__all__ = ["PROTOCOL", "evaluate_factors"]


def evaluate_factors(
    model: SequenceModel,
    data: Sequences,
    *,
    split: str = "test",
    map_split: str = "validation",
    repeats: int = 3,
    seed: int = 0,
    clips: int | None = 1000,
    judge: Judge | None = None,
    accept_weak_judge: bool = False,
    batch_size: int = 128,
    cache: str | Path | None = None,
) -> Scores:
    """Score how well single labels belong to single coordinates, and exchanges of one label.

    Every figure is `{"mean", "std", "floor"}`, from 0 to 1; std is over the repeats (ddof 0).

    Keys of the result:

    - `codes`: `disentanglement`, `completeness`, `sap`, `modularity`, `informativeness` (mean over the labels) and `labels`,
      the accuracy of each label. Floors are those of codes drawn at random; of each label the most frequent class.
    - `pixels` (or `values`): the same for the raw values.
    - `exchange`: for each label `changed`, the share of clips that show the partner's class of it; `kept`, for every other
      label the share that shows the clip's own class; `alone`, the share in which both hold for all labels. Floors are
      those of a random map. Only for frames, and methods that decode and whose decoder reads the static code.
    - `components`: the same for the independent components of the static code (`unbraid.components`), found on up to
      4,000 sequences of the train split without labels: their `key` and `number`, the `map` of static labels to them, and
      the `exchange` of each. Left out where there is no static label or the static code does not vary.
    - `map`: for each label the coordinates that carry it, by code, and their share of its importance.
    - `left_out`: labels that cannot be scored, and why.
    - `labels`, `protocol`: kinds, chance and majority of the labels; data, splits, clips, repeats, seed.

    Args:
        model: a trained model that encodes.
        data: its data set.
        split: the split to score.
        map_split: the split that forests and map are fitted on.
        repeats: forests and sets of partners, each from a seed of its own.
        seed: of the choice of clips, the forests and the partners.
        clips: the most clips of each split, drawn from the seed; None for all.
        judge: see `evaluate_generation`, as for the next one.
        accept_weak_judge: score although the judge is weak.
        batch_size: sequences encoded and decoded at a time.
        cache: folder of the trained judges.

    Raises:
        ValueError: no such split, no labels, labels of one class only, a model that cannot encode, a weak judge, repeats
            below 1.
    """
    check_repeats(repeats)
    model.require("encode")
    require_labels(data)
    if split == map_split:
        raise ValueError(f"map_split: {split!r} is scored; find the map on another split, as 'validation'")
    rows = {name: _some_rows(data, name, clips, seed) for name in (map_split, split)}
    fitted_on, scored = (data.take(rows[name]) for name in (map_split, split))
    heads, left_out = usable_labels(fitted_on, scored)
    units, codes = units_of(model), encode(model, scored, batch_size)
    codes_of_map = encode(model, fitted_on, batch_size)
    raw = raw_components(data, data.take(np.concatenate([rows[map_split], rows[split]])))
    raw_table = UnitTable(raw, np.arange(raw.shape[1]))
    pairs = {
        "codes": (
            unit_table(codes_of_map, fitted_on, units),
            unit_table(codes, scored, units),
        ),
        "pixels" if data.kind == "frames" else "values": (
            raw_table.take(slice(len(fitted_on))),
            raw_table.take(slice(len(fitted_on), None)),
        ),
    }
    truth = {name: scored.labels[name] for name in heads}
    scores, maps, importances = _coordinate_scores(pairs, heads, truth, units, repeats, seed)
    used = [both for both, _ in maps]
    if model.can("decode") and model.can("decoded_static") and not generation.PROTOCOL.unsuited(data):
        judge = judge or train_judge(data, cache=cache, seed=0)
        still = {name: label for name, label in heads.items() if label.kind == "static"}
        components = train_components(model, data, cache) if still else None
        exchanges = len(heads) + (len(still) if components is not None else 0)
        batches = [-(-len(part) // batch_size) for part in (scored, fitted_on)]
        passes = (1 + 2 * repeats * exchanges) * batches[0] + 2 * len(heads) * batches[1]
        with progress_bar(f"exchanging factors on {data.name}", passes) as advance:
            judged, judged_of_map = (
                JudgedModel(model, judge, part, parts_of(data), batch_size, advance)
                for part in (scored, fitted_on)
            )
            judged.check(accept_weak_judge)
            chosen = choose_maps(judged_of_map, codes_of_map, maps[0], seed)
            used = [{name: pair[chosen[name]][name] for name in heads} for pair in maps]
            scores["exchange"] = exchange_scores(judged, codes, used, exchange_factors, list(heads), seed)
            if components is not None:
                values = components.of(codes_of_map.static)
                seeds = [seed_of_repeat(seed, repeat) for repeat in range(repeats)]
                of_labels = [map_components(values, still, seed_now) for seed_now in seeds]
                scores["components"] = {
                    "key": components_key(model, data),
                    "number": len(components),
                    "map": {name: list(parts) for name, parts in of_labels[0].items()},
                    "exchange": exchange_scores(
                        judged, codes, of_labels, components.exchange, list(heads), seed
                    ),
                }
    scores["map"] = _described(used[0], importances[0], units)
    scores["left_out"] = left_out
    scores["labels"] = {name: describe_label(scored.labels[name]) for name in heads}
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "map_split": map_split,
        "clips": len(scored),
        "repeats": repeats,
        "seed": seed,
        "std": "over forests and partners of one trained model",
    }
    return scores


def _coordinate_scores(
    pairs: Mapping[str, tuple[UnitTable, UnitTable]],
    heads: Mapping[str, Label],
    truth: Mapping[str, Label],
    units: list[Factor],
    repeats: int,
    seed: int,
) -> tuple[Scores, list[list[Map]], list[Float[np.ndarray, "P K"]]]:
    """How well labels belong to single coordinates.

    Args:
        pairs: name of a table ("codes" among them) to its rows for the map and its rows to score.
        heads: labels of the rows for the map.
        truth: labels of the rows to score.
        units: of the codes.
        repeats: of the forests.
        seed: of the first one.

    Returns:
        The figures of each table; for each repeat a map of both codes and one of each label's own code; and for each
        repeat how much each unit tells about each label.
    """
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in (*pairs, "random")}
    maps: list[list[Map]] = []
    importances = []
    with progress_bar("finding factors", (len(pairs) + 1) * repeats) as advance:
        for repeat in range(repeats):
            seed_now = seed_of_repeat(seed, repeat)
            noise = np.random.default_rng(seed_now)
            random = tuple(
                UnitTable(noise.normal(size=(len(part.values), len(units))), np.arange(len(units)))
                for part in pairs["codes"]
            )
            for name, (fit, test) in (dict(pairs) | {"random": random}).items():
                figures, importance = _measures(fit, test, heads, truth, seed_now)
                measured[name].append(figures)
                if name == "codes":
                    maps.append([assign_units(heads, importance, units, own) for own in (False, True)])
                    importances.append(importance)
                advance("")
    floors = {
        key: float(np.mean([figures[key] for figures in measured["random"]])) for key in measured["random"][0]
    }
    return Scores({name: _nested(measured[name], floors, truth) for name in pairs}), maps, importances


def _some_rows(data: Sequences, split: str, clips: int | None, seed: int) -> Int[np.ndarray, "n"]:
    """Rows of the data set, at most `clips`, of a split."""
    data.split(split)  # refuses a split that is not there
    rows = data.splits[split]
    return rows[some_rows(len(rows), clips, seed)]


def _measures(
    fit: UnitTable, test: UnitTable, fitted_on: Mapping[str, Label], scored: Mapping[str, Label], seed: int
) -> tuple[dict[str, float], Float[np.ndarray, "P K"]]:
    """All figures of a table, and the importances behind them."""
    units = int(fit.unit.max()) + 1
    forests = fit_forests(fit, fitted_on, seed)
    importance = unit_importance(forests, fit, units)
    accuracy = {
        f"labels / {name}": float(np.mean(forest.predict(test.values) == scored[name].values))
        for name, forest in forests.items()
    }

    def alone(unit: int, name: str) -> float:
        leaves = 2 * len(scored[name].classes)
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=seed)
        tree.fit(fit.of(unit), fitted_on[name].values)
        return float(np.mean(tree.predict(test.of(unit)) == scored[name].values))

    def information(unit: int, name: str) -> float:
        return max(mutual_information(values, scored[name].values) for values in test.of(unit).T)

    def each(measure: Callable[[int, str], float]) -> Float[np.ndarray, "P K"]:
        return np.array([[measure(unit, name) for name in forests] for unit in range(units)])

    figures = {
        "disentanglement": disentanglement(importance),
        "completeness": completeness(importance),
        "informativeness": float(np.mean(list(accuracy.values()))),
        "sap": sap(each(alone)),
        "modularity": modularity(each(information)),
    }
    return figures | accuracy, importance


def _nested(
    repeats: list[dict[str, float]], floors: Mapping[str, float], labels: Mapping[str, Label]
) -> dict[str, Any]:
    """Figures over the repeats; those of labels in a part of their own, with the most frequent class as their floor."""
    majority = {f"labels / {name}": describe_label(label)["majority"] for name, label in labels.items()}
    flat = figures_over_repeats(repeats, dict(floors) | majority)
    of_labels = {name: flat.pop(f"labels / {name}") for name in labels}
    return flat | {"labels": of_labels}


def _described(
    by_label: Mapping[str, tuple[Factor, ...]], importance: Float[np.ndarray, "P K"], units: list[Factor]
) -> dict[str, Any]:
    """The coordinates of each label, by code, and their share of its importance."""
    described = {}
    for place, (name, factors) in enumerate(by_label.items()):
        columns = {
            code: [column for f in factors if f.code == code for column in f.columns or ()]
            for code in ("static", "dynamic")
        }
        share = sum(importance[units.index(factor), place] for factor in factors)
        described[name] = columns | {"share": float(share)}
    return described


def _unsuited(data: Sequences) -> str:
    return "" if data.heads else "the data have no labels"


PROTOCOL = Protocol(
    name="factors",
    title="Factors",
    needs=frozenset({"encode"}),
    unsuited=_unsuited,
    evaluate=evaluate_factors,
    on_request=True,
)
