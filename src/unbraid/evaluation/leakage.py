"""Leakage: how well each label can be predicted from the code that should not hold it.

The two tests of DBSE (Berman et al., ICML 2024, Table 2), on every label:

- *generation*: keep one code, draw the other, ask the judge (the rows of `evaluate_generation`);
- *latent*: classifiers predict a label from a code's posterior means. They are trained on 80% of the split's clips and
  scored on the other 20%, for the static code, for the mean of the dynamic codes over the steps, and for all of them in a
  row.

The paper does not say in full how its latent test was done. Ours takes the clips of the scored split, ten random
stratified divisions, and three classifiers of scikit-learn with their defaults on standardised features (support vectors
with a radial kernel, random forest, nearest neighbours), each and their mean. Labels that are part of another are derived
from the prediction of the whole label. As a floor the same classifiers read the pixels (frames averaged to 8x8, in 64
principal components of the training clips), or the values of a series. The time grows with the clips and with the size of
the dynamic code; `clips` limits it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedShuffleSplit

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation.classifiers import CLASSIFIERS, fit
from unbraid.evaluation.generation import evaluate_generation
from unbraid.evaluation.judge import Judge
from unbraid.evaluation.judging import blocks, describe_label, label_gap, parts_of
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.repeats import check_repeats, some_rows
from unbraid.evaluation.scores import Scores, figures_over_repeats
from unbraid.generation import encode
from unbraid.masks import mean_over_steps, observed_steps, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar

__all__ = ["FEATURES", "PROTOCOL", "evaluate_leakage", "indivisible", "raw_components"]

HELD_OUT = 0.2
SIDE = 8  # pixels to which frames are averaged for the floor
COMPONENTS = 64
FEATURES = {
    "static": "Static code",
    "dynamic_mean": "Dynamic code, mean over steps",
    "dynamic": "Dynamic codes, all steps",
    "pixels": "Pixels (floor)",
    "values": "Values (floor)",
}
"""Titles of the tables that classifiers get, by their keys in the scores."""


def evaluate_leakage(
    model: SequenceModel,
    data: Sequences,
    *,
    split: str = "test",
    repeats: int = 10,
    seed: int = 0,
    clips: int | None = None,
    generation: Mapping[str, Any] | None = None,
    judge: Judge | None = None,
    accept_weak_judge: bool = False,
    batch_size: int = 128,
    cache: str | Path | None = None,
) -> Scores:
    """Test how well each label can be predicted from each code, by generation and by classifiers.

    Every figure is `{"mean", "std", "floor"}`, shares from 0 to 1; std is over the repeats (ddof 0).

    Keys of the result:

    - `generation`: `static_kept` and `dynamic_kept`, each with the mean accuracy of the static and of the dynamic
      labels and their `gap` (Table 2, top), and with each label's accuracy in `labels`; floors are chance. Left out for
      a method that does not decode.
    - `latent`: for `static` (the static code), `dynamic_mean` (over the observed steps), `dynamic` (all steps in a row)
      and `pixels` (or `values`), each label's accuracy by each classifier and their `mean`; the floor is the share of the most
      frequent class.
    - `latent_gap`: the classifiers' mean accuracy of the static and of the dynamic labels from each code, and how much
      higher that of the labels is that belong in it (Table 2, bottom); left out where one kind is missing.
    - `left_out`: labels that cannot be divided, and why.
    - `labels`, `protocol`: kinds, chance and majority; data, split, clips, repeats, seed.

    Args:
        model: a trained model that encodes.
        data: its data set.
        split: the split to score.
        repeats: random divisions of the clips for the latent test.
        seed: of the choice of clips, the divisions and the forests.
        clips: the most clips that the classifiers see, drawn from the seed; None for the whole split, which generation
            always uses.
        generation: scores of `evaluate_generation` for the same model and split; None to compute them here.
        judge: see `evaluate_generation`, as for the next one.
        accept_weak_judge: score although the judge is weak.
        batch_size: sequences encoded at a time.
        cache: folder of the trained judges.

    Raises:
        ValueError: no such split, no labels, a model that cannot encode, a weak judge, repeats below 1.
    """
    check_repeats(repeats)
    model.require("encode")
    if not data.labels:
        raise ValueError(f"data: {data.name} has no labels; leakage is the prediction of labels")
    scored = data.split(split)
    scores = Scores()
    if model.can("decode"):
        generation = generation or evaluate_generation(
            model,
            data,
            judge=judge,
            split=split,
            seed=seed,
            accept_weak_judge=accept_weak_judge,
            batch_size=batch_size,
            cache=cache,
        )
        scores["generation"] = _generation_rows(generation)
    chosen = scored.take(some_rows(len(scored), clips, seed))
    scores |= _latent(_features(model, data, chosen, batch_size), chosen, parts_of(data), repeats, seed)
    scores["labels"] = {name: describe_label(label) for name, label in scored.labels.items()}
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(scored),
        "clips_classified": len(chosen),
        "repeats": repeats,
        "seed": seed,
        "std": "over the divisions (latent) and the draws (generation) of one trained model",
    }
    return scores


def _generation_rows(generation: Mapping[str, Any]) -> dict[str, Any]:
    """The two rows of the generation test; those that the method has no prior for are left out."""
    tests = {kind: generation.get(f"keep_{kind}") for kind in ("static", "dynamic")}
    gaps = generation.get("gap", {})
    return {
        f"{kind}_kept": dict(gaps.get(f"{kind}_kept", {})) | {"labels": labels}
        for kind, labels in tests.items()
        if labels
    }


# ---- features -------------------------------------------------------------------------------------------


def _features(
    model: SequenceModel, data: Sequences, chosen: Sequences, batch_size: int
) -> dict[str, Float[np.ndarray, "n P"]]:
    """The codes of the chosen sequences as tables, and the sequences themselves as a floor.

    Dynamic codes of steps without an observed value count neither in the mean nor in the row of all steps.
    """
    codes = encode(model, chosen, batch_size)
    dynamic = codes.dynamic.double().numpy()
    steps = observed_steps(chosen.observed())
    return {
        "static": codes.static.double().numpy(),
        "dynamic_mean": mean_over_steps(dynamic, steps),
        "dynamic": zero_unobserved(dynamic, steps).reshape(len(chosen), -1),
        "pixels" if data.kind == "frames" else "values": raw_components(data, chosen),
    }


def raw_components(data: Sequences, chosen: Sequences) -> Float[np.ndarray, "n P"]:
    """Principal components of the chosen sequences, fitted on training clips where there are any."""
    train = data.split("train") if "train" in data.splits else chosen
    rows = np.random.default_rng(0).permutation(len(train))[: 4 * len(chosen)]
    table = _table(train.take(np.sort(rows)))
    components = min(COMPONENTS, *table.shape)
    return PCA(components, random_state=0).fit(table).transform(_table(chosen))


def _table(sequences: Sequences) -> Float[np.ndarray, "n P"]:
    """Values of each sequence in a row; frames averaged to `SIDE` pixels a side."""
    parts = []
    for rows in blocks(len(sequences), 256):
        x = sequences.batch(rows).x.numpy()
        if sequences.kind == "frames":
            block = x.shape[-1] // SIDE
            x = x.reshape(*x.shape[:3], SIDE, block, SIDE, block).mean((4, 6))
        parts.append(x.reshape(len(x), -1))
    return np.concatenate(parts)


# ---- classifiers ----------------------------------------------------------------------------------------


def _latent(
    features: Mapping[str, np.ndarray],
    chosen: Sequences,
    parts: Mapping[str, np.ndarray],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Accuracy of every label from every table of features, and the gaps between the two kinds of labels."""
    left_out = {name: reason for name, label in chosen.heads.items() if (reason := indivisible(label))}
    heads = {name: label for name, label in chosen.heads.items() if name not in left_out}
    majority = {name: describe_label(label)["majority"] for name, label in chosen.labels.items()}
    shares: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in features}
    with progress_bar("classifying the codes", len(features) * len(heads) * repeats) as advance:
        for name, table in features.items():
            for head in heads:
                shares[name] |= _accuracies(table, head, chosen, parts, repeats, seed, advance)
    scores: dict[str, Any] = {
        "latent": {
            name: {
                label: figures_over_repeats(of_repeats, dict.fromkeys(of_repeats[0], majority[label]))
                for label, of_repeats in by_label.items()
            }
            for name, by_label in shares.items()
        },
        "left_out": left_out,
    }
    if {label.kind for label in heads.values()} == {"static", "dynamic"}:
        scores["latent_gap"] = {
            name: label_gap(
                heads,
                [{head: by_label[head][repeat]["mean"] for head in heads} for repeat in range(repeats)],
                majority,
                kept="dynamic" if name.startswith("dynamic") else "static",
            )
            for name, by_label in shares.items()
        }
    return scores


def indivisible(label: Label) -> str | None:
    """Why a label cannot be divided into 80% and 20% with every class in both; None when it can."""
    counts = np.bincount(label.values)
    counts = counts[counts > 0]
    if len(counts) < 2:
        return "all clips are of one class"
    if counts.min() < 2:
        return f"a class has {counts.min()} clip; 2 are needed"
    if HELD_OUT * len(label.values) < len(counts):
        return f"{len(label.values)} clips are too few for {len(counts)} classes; 5 a class are needed"
    return None


def _accuracies(
    table: Float[np.ndarray, "n P"],
    head: str,
    chosen: Sequences,
    parts: Mapping[str, np.ndarray],
    repeats: int,
    seed: int,
    advance: Callable[[str], None],
) -> dict[str, list[dict[str, float]]]:
    """For a label and its parts: the accuracy of each classifier, and their mean, on the held-out clips of each division."""
    values = chosen.labels[head].values
    whole = {head: np.arange(len(chosen.labels[head].classes))}
    part_of_class = whole | {
        name: part for name, part in parts.items() if chosen.labels[name].part_of == head
    }
    accuracies: dict[str, list[dict[str, float]]] = {name: [] for name in part_of_class}
    divisions = StratifiedShuffleSplit(repeats, test_size=HELD_OUT, random_state=seed)
    for train, held_out in divisions.split(table, values):
        predictions = {
            name: fit(make(seed), table[train], values[train]).predict(table[held_out])
            for name, make in CLASSIFIERS.items()
        }
        for name, part in part_of_class.items():
            truth = chosen.labels[name].values[held_out]
            shares = {key: float(np.mean(part[guess] == truth)) for key, guess in predictions.items()}
            accuracies[name].append(shares | {"mean": float(np.mean(list(shares.values())))})
        advance("")
    return accuracies


def _unsuited(data: Sequences) -> str:
    return "" if data.labels else "the data have no labels"


PROTOCOL = Protocol(
    name="leakage",
    title="Leakage",
    needs=frozenset({"encode"}),
    unsuited=_unsuited,
    evaluate=evaluate_leakage,
    uses=("generation",),
    on_request=True,
)
