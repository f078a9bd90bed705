"""Speaker verification: does the static code name the speaker, and does the dynamic code not?

The protocol of DSVAE-type models on TIMIT (Hsu et al., NeurIPS 2017; Berman et al., ICML 2024): the codes of a
recording's segments are averaged, every pair of test recordings is scored by the cosine of its embeddings, and the
equal error rate (EER) is where as many pairs of one speaker are rejected as pairs of two are accepted. Low is good for
the static code, high for the dynamic one (50%: no trace of the speaker).

A useless dynamic code has a high EER too. So it is also asked what is said: simple classifiers read the content and
the speaker from either code. Every figure stands beside its floor, the same test on the features themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.evaluation.protocol import Protocol
from unbraid.generation import encode
from unbraid.masks import observed_steps
from unbraid.models.base import SequenceModel
from unbraid.words import nearest

__all__ = [
    "PROTOCOL",
    "content_label",
    "cosines",
    "equal_error_rate",
    "evaluate_verification",
    "speaker_label",
]

PARTS = 4  # of a recording, whose means in order say how it goes on
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # of the classifiers, as 1 / penalty; the first of the best is kept
INTERVAL = (2.5, 97.5)  # percentiles of the bootstrap
FEWEST_SPEAKERS = 3  # for an interval; draws from two speakers say nothing

Figure = dict[str, Any]
Vectors = Float[np.ndarray, "U E"]


# ---- the equal error rate -------------------------------------------------------------------------------


def equal_error_rate(scores: Float[np.ndarray, "P"], same: Bool[np.ndarray, "P"]) -> float:
    """The error rate, 0 to 1, at which pairs of one speaker are rejected as often as pairs of two are accepted.

    A pair is accepted when its score reaches the threshold. Both error rates are steps over the threshold; where
    they cross between two of its values, both are interpolated on a line. Pairs of equal score go together.

    Args:
        scores: of the pairs, high for the same speaker.
        same: whether the pair is of one speaker.

    Raises:
        ValueError: scores that are not finite, or no pair of one of the two kinds.
    """
    scores, same = np.asarray(scores), np.asarray(same)
    if scores.ndim != 1 or same.shape != scores.shape or same.dtype != bool:
        raise ValueError(
            f"same: has shape {same.shape}, type {same.dtype} for scores of shape {scores.shape}; give a bool for each"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"scores: {int((~np.isfinite(scores)).sum())} of {len(scores)} are not finite")
    if same.all() or not same.any():
        raise ValueError(f"same: {same.sum()} of {len(same)} pairs are of one speaker; both kinds are needed")
    order = np.argsort(scores)
    return _crossing(same[order], ~same[order], _last_of_equals(scores[order]))


def _last_of_equals(ascending: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.append(np.diff(ascending) > 0, True))


def _crossing(same: np.ndarray, different: np.ndarray, thresholds: np.ndarray) -> float:
    """Where the error rates meet, for pairs in the order of their scores, counted as often as the weights say."""
    rejected, accepted = np.cumsum(same)[thresholds], np.cumsum(different)[thresholds]
    false_rejection = np.append(0.0, rejected / rejected[-1])
    false_acceptance = np.append(1.0, 1 - accepted / accepted[-1])
    gap = false_rejection - false_acceptance  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(np.interp(share, (0, 1), false_rejection[after - 1 : after + 1]))


def cosines(embeddings: Vectors) -> Float[np.ndarray, "P"]:
    """Cosine of all unordered pairs, in the order of `np.triu_indices`; 0 with a vector of zeros."""
    size = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = np.divide(embeddings, size, out=np.zeros_like(embeddings, dtype=np.float64), where=size > 0)
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


# ---- the protocol ---------------------------------------------------------------------------------------


def evaluate_verification(
    model: SequenceModel,
    data: Sequences,
    *,
    split: str = "test",
    speaker: str | None = None,
    content: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    batch_size: int = 256,
) -> dict[str, Any]:
    """Verify speakers by the static and by the dynamic code, and read content and speaker from both.

    A recording is all sequences of one number in `data.groups`, in the order of the data set (every sequence by itself
    without groups). Its static embedding is the mean over them of the posterior means of s, its dynamic embedding the
    mean over all their observed steps of the posterior means of d.

    Figures are shares from 0 to 1: `{"mean", "std", "floor", "chance"}`. The floor is the same test on the features
    themselves (scaled to mean 0 and deviation 1 by training values, averaged over the recording), chance that of a
    code without a trace of the label. std is 0: nothing is drawn but the bootstrap's speakers.

    Keys of the result:

    - `static_eer` (low is good), `dynamic_eer` (high is good), `gap` (dynamic - static), over all unordered pairs;
      each with an `interval` that holds 95% of a bootstrap over speakers, None with fewer than three of them. A pair
      of two speakers counts as often as the product of how often they were drawn.
    - `same_content`, `different_content`: the three figures on the pairs that agree and that differ in what is said,
      and how many `pairs` those are. A static code that knows the word fails on the second.
    - `probe`: for `content` and `speaker`, how often a classifier is right that was trained on the codes of `train`
      and chosen on `validation`: from `static`, from `dynamic_mean`, and from the means of four parts of the recording
      in order (`dynamic_parts`), all linear.
    - `left_out`: what could not be scored, and why. The probe of the speaker is among them where test speakers do not
      occur in `train`.
    - `labels`, `protocol`: which labels were taken; data, split, counts, resamples, seed.

    Args:
        model: a trained model that encodes.
        data: its data set.
        split: the split to score.
        speaker: the label to verify; None for the first static label that is no part of another.
        content: the label of what is said; None for the first dynamic label that is no part of another and is the
            same in all sequences of a recording. Without one there are no content figures.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        batch_size: sequences encoded at a time.

    Raises:
        ValueError: no such split or label, a model that cannot encode, fewer than two speakers, no two recordings of
            one speaker, resamples below 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples: {resamples}; give at least 1")
    if "encode" not in model.card.capabilities:
        raise ValueError(f"model: {model.card.name} cannot encode, so it has no codes to verify")
    speaker = speaker_label(data, speaker)
    content = content_label(data, content)
    labels = [speaker] if content is None else [speaker, content]
    tested = _Recordings.of(model, data, split, labels, batch_size)
    pairs = _Pairs(tested.labels[speaker])
    pairs.check(data, split, speaker)
    trained = {
        name: _Recordings.of(model, data, name, labels, batch_size)
        for name in ("train", "validation")
        if name in data.splits
    }
    scaling = Scaling.fit(np.concatenate(trained.get("train", tested).features))
    tested = tested.scaled(scaling)
    trained = {name: one.scaled(scaling) for name, one in trained.items()}

    scored = {"static": tested.static, "dynamic": tested.dynamic_mean, "features": tested.features_mean}
    cosine = {name: cosines(vectors) for name, vectors in scored.items()}
    everything = np.ones(len(pairs.same), dtype=bool)
    scores: dict[str, Any] = pairs.figures(cosine, everything)
    intervals = pairs.intervals(cosine, resamples, np.random.default_rng(seed))
    for name, interval in intervals.items():
        scores[name]["interval"] = interval
    left_out = {}
    if content is None:
        left_out["content"] = "there is no dynamic label that is constant over a recording"
    else:
        first, second = np.triu_indices(len(tested.static), 1)
        alike = tested.labels[content][first] == tested.labels[content][second]
        for name, chosen in (("same_content", alike), ("different_content", ~alike)):
            if pairs.both_kinds(chosen):
                scores[name] = {**pairs.figures(cosine, chosen), "pairs": int(chosen.sum())}
            else:
                left_out[name] = "no pairs of one speaker, or none of two"
    scores["probe"] = {}
    for kind, label in (("content", content), ("speaker", speaker)):
        if label is None:
            continue
        reason = _no_probe(trained, tested, label)
        if reason:
            left_out[f"probe of the {kind}"] = reason
            continue
        chance = 1 / len(data.labels[label].classes)
        sets = [trained["train"], trained["validation"], tested]
        scores["probe"][kind] = _probe(sets, label, chance)
    scores["left_out"] = left_out
    scores["labels"] = {"speaker": speaker, "content": content}
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(data.splits[split]),
        "recordings": len(tested.static),
        "speakers": len(np.unique(tested.labels[speaker])),
        "pairs": len(pairs.same),
        "pairs_of_one_speaker": int(pairs.same.sum()),
        "resamples": resamples,
        "seed": seed,
    }
    return scores


def speaker_label(data: Sequences, given: str | None = None) -> str:
    """The given label, or the first static one that is no part of another.

    Raises:
        ValueError: there is no such label.
    """
    static = [name for name, label in data.heads.items() if label.kind == "static"]
    if given is not None and given not in data.labels:
        raise ValueError(f"speaker: {data.name} has no label {given!r}{nearest(given, data.labels)}")
    if given is None and not static:
        raise ValueError(f"speaker: {data.name} has no static label; verification needs to know who speaks")
    return given or static[0]


def content_label(data: Sequences, given: str | None = None) -> str | None:
    """The given label, or the first dynamic one, no part of another, that is the same all over each recording.

    Raises:
        ValueError: there is no label of the given name.
    """
    if given is not None and given not in data.labels:
        raise ValueError(f"content: {data.name} has no label {given!r}{nearest(given, data.labels)}")
    if given is not None:
        return given
    dynamic = (name for name, label in data.heads.items() if label.kind == "dynamic")
    recordings = data.recordings
    return next(
        (name for name in dynamic if all(np.ptp(data.labels[name].values[r]) == 0 for r in recordings)), None
    )


@dataclass(frozen=True)
class _Recordings:
    """What is known of U recordings, one entry each.

    Attributes:
        static: `(U, S)` mean over the segments of s.
        dynamic: `(L, D)` of each recording, d at its observed steps.
        features: `(L, F)` of each recording, x at its observed steps.
        labels: name to `(U,)` class numbers.
    """

    static: np.ndarray
    dynamic: list[np.ndarray]
    features: list[np.ndarray]
    labels: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, model: SequenceModel, whole: Sequences, split: str, labels: list[str], batch_size: int
    ) -> "_Recordings":
        """Encode one split and gather it by recording."""
        data = whole.split(split)
        codes = encode(model, data, batch_size)
        batch = data.batch(slice(None))
        x = batch.x.flatten(2).numpy()
        steps = np.ones(x.shape[:2], dtype=bool) if batch.mask is None else observed_steps(batch.mask).numpy()
        static, dynamic = codes.static.double().numpy(), codes.dynamic.numpy()
        members = data.recordings
        found = {}
        for name in labels:
            values = data.labels[name].values
            for rows in members:
                if np.ptp(values[rows]):
                    raise ValueError(
                        f"labels[{name!r}]: sequences {rows[0]} and others of {split} are of one recording and differ "
                        "in it; give a label that is the same over a recording"
                    )
            found[name] = np.array([values[rows[0]] for rows in members])
        return cls(
            np.stack([static[rows].mean(0) for rows in members]),
            [dynamic[rows][steps[rows]] for rows in members],
            [x[rows][steps[rows]] for rows in members],
            found,
        )

    def scaled(self, scaling: Scaling) -> "_Recordings":
        """The same with scaled features."""
        return _Recordings(self.static, self.dynamic, [scaling.apply(x) for x in self.features], self.labels)

    @property
    def dynamic_mean(self) -> np.ndarray:
        return np.stack([d.mean(0, dtype=np.float64) for d in self.dynamic])

    @property
    def features_mean(self) -> np.ndarray:
        return np.stack([x.mean(0, dtype=np.float64) for x in self.features])


# ---- pairs ----------------------------------------------------------------------------------------------


class _Pairs:
    """All unordered pairs of recordings, in the order of `cosines`."""

    def __init__(self, speakers: Int[np.ndarray, "U"]) -> None:
        self.names, number = np.unique(speakers, return_inverse=True)
        first, second = np.triu_indices(len(speakers), 1)
        self.first, self.second = number[first], number[second]
        self.same = self.first == self.second

    def check(self, data: Sequences, split: str, speaker: str) -> None:
        """Refuse pairs of which one kind is missing."""
        if len(self.names) < 2:
            raise ValueError(
                f"split: {split!r} of {data.name} has {len(self.names)} {speaker}; verification needs at least two"
            )
        if not self.same.any():
            raise ValueError(
                f"split: no two recordings in {split!r} of {data.name} are of one {speaker}; add recordings, or say "
                "by groups which sequences belong to one recording"
            )

    def both_kinds(self, chosen: np.ndarray) -> bool:
        """Whether the chosen pairs hold some of one speaker and some of two."""
        return bool(self.same[chosen].any() and not self.same[chosen].all())

    def figures(self, cosine: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, Figure]:
        """The error rates of both codes and their gap, on the chosen pairs."""
        rate = {name: equal_error_rate(scores[chosen], self.same[chosen]) for name, scores in cosine.items()}
        return {
            "static_eer": _figure(rate["static"], rate["features"], 0.5),
            "dynamic_eer": _figure(rate["dynamic"], rate["features"], 0.5),
            "gap": _figure(rate["dynamic"] - rate["static"], 0.0, 0.0),
        }

    def intervals(
        self, cosine: dict[str, np.ndarray], resamples: int, generator: np.random.Generator
    ) -> dict[str, list[float] | None]:
        """Percentiles of the figures when as many speakers as there are are drawn with replacement."""
        names = ("static_eer", "dynamic_eer", "gap")
        if len(self.names) < FEWEST_SPEAKERS:
            return dict.fromkeys(names)
        order = {name: np.argsort(cosine[name]) for name in ("static", "dynamic")}
        thresholds = {name: _last_of_equals(cosine[name][order[name]]) for name in order}
        rates: list[tuple[float, float]] = []
        while len(rates) < resamples:
            times = generator.multinomial(len(self.names), np.full(len(self.names), 1 / len(self.names)))
            same = np.where(self.same, times[self.first], 0)
            different = np.where(self.same, 0, times[self.first] * times[self.second])
            if not (same.any() and different.any()):
                continue  # one speaker only: draw again
            static, dynamic = (
                _crossing(same[order[name]], different[order[name]], thresholds[name]) for name in order
            )
            rates.append((static, dynamic))
        static, dynamic = np.array(rates).T
        found = (np.percentile(values, INTERVAL) for values in (static, dynamic, dynamic - static))
        return {name: [float(v) for v in interval] for name, interval in zip(names, found, strict=True)}


def _figure(value: float, floor: float, chance: float) -> Figure:
    return {"mean": value, "std": 0.0, "floor": floor, "chance": chance}


# ---- what can be read from the codes --------------------------------------------------------------------


def _no_probe(trained: dict[str, _Recordings], tested: _Recordings, label: str) -> str:
    """Why a label cannot be read from the codes, or nothing."""
    if len(trained) < 2:
        return "there is no split to train on, or none to choose on"
    known = np.unique(trained["train"].labels[label])
    asked = np.unique(tested.labels[label])
    if len(known) < 2:
        return f"the training split has one {label} only"
    unseen = np.setdiff1d(asked, known)
    if len(unseen):
        return f"{len(unseen)} of {len(asked)} classes of {label} do not occur in the training split"
    return ""


def _probe(sets: list[_Recordings], label: str, chance: float) -> dict[str, Figure]:
    """How often the label is read rightly from each form of the codes, beside the same form of the features."""
    labels = [one.labels[label] for one in sets]
    mean = linear_probe([one.features_mean for one in sets], labels)
    parts = linear_probe([in_parts(one.features) for one in sets], labels)
    static = linear_probe([one.static for one in sets], labels)
    dynamic_mean = linear_probe([one.dynamic_mean for one in sets], labels)
    dynamic_parts = linear_probe([in_parts(one.dynamic) for one in sets], labels)
    return {
        "static": _figure(static, mean, chance),
        "dynamic_mean": _figure(dynamic_mean, mean, chance),
        "dynamic_parts": _figure(dynamic_parts, parts, chance),
    }


def in_parts(paths: Sequence[Float[np.ndarray, "L D"]]) -> Float[np.ndarray, "U PD"]:
    """Means of four parts of each path, in order and side by side; of a path of fewer steps some count twice."""
    edges = [np.linspace(0, len(path), PARTS + 1).astype(int) for path in paths]
    return np.stack(
        [
            np.concatenate([path[a : max(a + 1, b)].mean(0) for a, b in pairwise(cuts)])
            for path, cuts in zip(paths, edges, strict=True)
        ]
    )


def linear_probe(vectors: Sequence[Vectors], labels: Sequence[Int[np.ndarray, "U"]]) -> float:
    """Accuracy on the third of three sets of a logistic regression fitted on the first and chosen on the second."""
    fitted = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(
            vectors[0], labels[0]
        )
        for strength in STRENGTHS
    ]
    best = max(fitted, key=lambda classifier: classifier.score(vectors[1], labels[1]))
    return float(best.score(vectors[2], labels[2]))


def _unsuited(data: Sequences) -> str:
    if data.kind != "sound":
        return "verification is for sound"
    static = any(label.kind == "static" for label in data.heads.values())
    return "" if static else "the data have no static label, which would name the speaker"


PROTOCOL = Protocol(
    name="verification",
    title="Verification",
    needs=frozenset({"encode"}),
    unsuited=_unsuited,
    evaluate=evaluate_verification,
)
