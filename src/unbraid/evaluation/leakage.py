"""Leakage: what each code tells of what it should not hold, by generation and by classifiers of the codes.

The two tests of DBSE (Berman et al., ICML 2024, Table 2), on every label:

- *generation*: keep one code, draw the other, ask the judge (the rows of `evaluate_generation`);
- *latent*: classifiers learn a label from a code's posterior means on 80% of the split's clips and are scored on
  the other 20%, for the static code, the mean of the dynamic codes over the steps, and all of them in a row.

How the published latent test was done is not known in full. Ours: clips of the split that is scored, ten random
stratified divisions, three classifiers of scikit-learn with their defaults on standardised features (support
vectors with a radial kernel, random forest, nearest neighbours), each and their mean. Labels that are part of another
are read off what is said of the whole. As a floor the same classifiers read the pixels (frames averaged to 8x8, in 64
principal components of the training clips), or the values of a series. Sprites' 2664 test clips take
five minutes of one core with a dynamic code of 32 values, a quarter of an hour with 256; `clips` takes fewer.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation.generation import evaluate_generation
from unbraid.evaluation.judge import Judge
from unbraid.evaluation.judging import Figure, described, figures_of, parts_of
from unbraid.evaluation.protocol import Protocol
from unbraid.generation import encode
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar

__all__ = ["CLASSIFIERS", "PROTOCOL", "evaluate_leakage"]


class SupportVectors:
    """scikit-learn's SVC as it is by default, its kernel by matrix products: 18 times faster on 2048 columns."""

    def fit(self, x: Float[np.ndarray, "n P"], y: np.ndarray) -> "SupportVectors":
        """Learn the classes y."""
        self.x, self.gamma = x, 1 / (x.shape[1] * (x.var() or 1.0))  # SVC's gamma="scale"
        self.classifier = SVC(kernel="precomputed").fit(rbf_kernel(x, gamma=self.gamma), y)
        return self

    def predict(self, x: Float[np.ndarray, "m P"]) -> np.ndarray:
        """The class of each row."""
        return self.classifier.predict(rbf_kernel(x, self.x, gamma=self.gamma))


CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "support_vectors": lambda seed: SupportVectors(),
    "random_forest": lambda seed: RandomForestClassifier(random_state=seed, n_jobs=-1),
    "nearest_neighbours": lambda seed: KNeighborsClassifier(),
}
HELD_OUT = 0.2
SIDE = 8  # pixels to which frames are averaged for the floor
COMPONENTS = 64


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
) -> dict[str, Any]:
    """Test what each code tells of every label, by generation and by classifiers.

    Every figure is `{"mean", "std", "floor"}`, shares from 0 to 1; std is over the repeats (ddof 0).

    Keys of the result:

    - `generation`: `static_kept` and `dynamic_kept`, each with the mean accuracy of the static and of the dynamic
      labels and their `gap` (Table 2, top), and with each label's accuracy in `labels`; floors are chance.
    - `latent`: for `static` (the static code), `dynamic_mean`, `dynamic` (all steps in a row) and `pixels` (or
      `values`), each label's accuracy by each classifier and their `mean`; the floor is the share of the most
      frequent class.
    - `latent_gap`: the classifiers' mean accuracy of the static and of the dynamic labels from each code, and the
      lead of the labels that belong in it (Table 2, bottom); left out where one kind is missing.
    - `left_out`: labels that cannot be divided, and why.
    - `labels`, `protocol`: kinds, chance and majority; data, split, clips, repeats, seed.

    Args:
        model: a trained model that encodes.
        data: its data set.
        split: the split to score.
        repeats: random divisions of the clips for the latent test.
        seed: of the choice of clips, the divisions and the forests.
        clips: the most clips that the classifiers see, drawn from the seed; None for the whole split, which generation
            always sees.
        generation: what `evaluate_generation` found for the same model and split; None to find it here.
        judge: see `evaluate_generation`, as for the next three.
        accept_weak_judge: score although the judge is weak.
        batch_size: sequences encoded at a time.
        cache: folder of the trained judges.

    Raises:
        ValueError: no such split, no labels, a model that cannot encode, a weak judge, repeats below 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats: {repeats}; give at least 1")
    if "encode" not in model.card.capabilities:
        raise ValueError(f"model: {model.card.name} cannot encode, so there are no codes to classify")
    if not data.labels:
        raise ValueError(f"data: {data.name} has no labels; leakage is a matter of labels")
    scored = data.split(split)
    scores: dict[str, Any] = {}
    if "decode" in model.card.capabilities:
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
        scores["generation"] = _rows(generation)
    rows = np.sort(np.random.default_rng(seed).permutation(len(scored))[:clips])
    some = scored.take(rows)
    scores |= _latent(_features(model, data, some, batch_size), some, parts_of(data), repeats, seed)
    scores["labels"] = {name: described(label) for name, label in scored.labels.items()}
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(scored),
        "clips_classified": len(some),
        "repeats": repeats,
        "seed": seed,
        "std": "over the divisions (latent) and the draws (generation) of one trained model",
    }
    return scores


def _rows(generation: Mapping[str, Any]) -> dict[str, Any]:
    """The two rows of the generation test."""
    kept = {
        kind: generation[f"keep_{kind}"] for kind in ("static", "dynamic") if f"keep_{kind}" in generation
    }
    return {
        f"{kind}_kept": dict(generation.get("gap", {}).get(f"{kind}_kept", {})) | {"labels": labels}
        for kind, labels in kept.items()
    }


# ---- features -------------------------------------------------------------------------------------------


def _features(
    model: SequenceModel, data: Sequences, some: Sequences, batch_size: int
) -> dict[str, Float[np.ndarray, "n P"]]:
    """The codes of some sequences as tables, and as a floor what can be had without a model."""
    codes = encode(model, some, batch_size)
    dynamic = codes.dynamic.double().numpy()
    inside = np.ones(dynamic.shape[:2], bool)
    if some.lengths is not None:
        inside = np.arange(some.steps) < some.lengths[:, None]
    dynamic = np.where(inside[:, :, None], dynamic, 0)
    raw = "pixels" if len(data.observation) == 3 else "values"
    return {
        "static": codes.static.double().numpy(),
        "dynamic_mean": dynamic.sum(1) / inside.sum(1, keepdims=True),
        "dynamic": dynamic.reshape(len(some), -1),
        raw: _raw(data, some),
    }


def _raw(data: Sequences, some: Sequences) -> Float[np.ndarray, "n P"]:
    """Principal components of the sequences themselves; learned on the training clips, where there are any."""
    known = data.split("train") if "train" in data.splits else some
    learned = np.random.default_rng(0).permutation(len(known))[: 4 * len(some)]
    table = _table(known.take(np.sort(learned)))
    components = min(COMPONENTS, *table.shape)
    return PCA(components, random_state=0).fit(table).transform(_table(some))


def _table(sequences: Sequences) -> Float[np.ndarray, "n P"]:
    """Values of each sequence in a row; frames averaged to `SIDE` pixels a side."""
    parts = []
    for start in range(0, len(sequences), 256):
        x = sequences.batch(np.arange(start, min(start + 256, len(sequences)))).x.numpy()
        if x.ndim == 5:
            block = x.shape[-1] // SIDE
            x = x.reshape(*x.shape[:3], SIDE, block, SIDE, block).mean((4, 6))
        parts.append(x.reshape(len(x), -1))
    return np.concatenate(parts)


# ---- classifiers ----------------------------------------------------------------------------------------


def _latent(
    features: Mapping[str, np.ndarray],
    some: Sequences,
    parts: Mapping[str, np.ndarray],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Every label read from every table of features."""
    left_out = {name: reason for name, label in some.heads.items() if (reason := _undivided(label))}
    heads = {name: label for name, label in some.heads.items() if name not in left_out}
    shares: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in features}
    with progress_bar("classifying the codes", len(features) * len(heads) * repeats) as done:
        for name, table in features.items():
            for key in heads:
                shares[name] |= _read(table, key, some, parts, repeats, seed, done)
    latent = {
        name: {
            key: figures_of(found, dict.fromkeys(found[0], described(some.labels[key])["majority"]))
            for key, found in by_label.items()
        }
        for name, by_label in shares.items()
    }
    scores: dict[str, Any] = {"latent": latent, "left_out": left_out}
    if {label.kind for label in heads.values()} == {"static", "dynamic"}:
        scores["latent_gap"] = {name: _gap(heads, by_label, name) for name, by_label in shares.items()}
    return scores


def _undivided(label: Label) -> str | None:
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


def _read(
    table: Float[np.ndarray, "n P"],
    key: str,
    some: Sequences,
    parts: Mapping[str, np.ndarray],
    repeats: int,
    seed: int,
    done: Callable[[str], None],
) -> dict[str, list[dict[str, float]]]:
    """Accuracy of each classifier, and their mean, on what each division holds out: of a label and of its parts."""
    values = some.labels[key].values
    whole = {key: np.arange(len(some.labels[key].classes))}
    classes = whole | {name: part for name, part in parts.items() if some.labels[name].part_of == key}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in classes}
    divisions = StratifiedShuffleSplit(repeats, test_size=HELD_OUT, random_state=seed)
    for learned, held in divisions.split(table, values):
        scaler = StandardScaler().fit(table[learned])
        known, new = scaler.transform(table[learned]), scaler.transform(table[held])
        said = {
            name: make(seed).fit(known, values[learned]).predict(new) for name, make in CLASSIFIERS.items()
        }
        for name, part in classes.items():
            truth = some.labels[name].values[held]
            right = {classifier: float(np.mean(part[guess] == truth)) for classifier, guess in said.items()}
            found[name].append(right | {"mean": float(np.mean(list(right.values())))})
        done("")
    return found


def _gap(
    heads: Mapping[str, Label], shares: Mapping[str, list[dict[str, float]]], feature: str
) -> dict[str, Figure]:
    """Mean accuracy of static and dynamic labels over the classifiers, and the lead of those that belong here."""
    names = {kind: [n for n, label in heads.items() if label.kind == kind] for kind in ("static", "dynamic")}
    kept, other = ("dynamic", "static") if feature.startswith("dynamic") else ("static", "dynamic")

    def summed_up(accuracy: Mapping[str, float]) -> dict[str, float]:
        means = {kind: float(np.mean([accuracy[name] for name in names[kind]])) for kind in names}
        return means | {"gap": means[kept] - means[other]}

    repeats = [
        dict(zip(heads, each, strict=True))
        for each in zip(*([share["mean"] for share in shares[name]] for name in heads), strict=True)
    ]
    floors = summed_up({name: described(label)["majority"] for name, label in heads.items()})
    return figures_of([summed_up(accuracy) for accuracy in repeats], floors)


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
