"""Speaker verification: the static code should identify the speaker, and the dynamic code should not.

The protocol of DSVAE-type models on TIMIT (Hsu et al., NeurIPS 2017; Berman et al., ICML 2024): the codes of a
recording's sequences are averaged, every pair of test recordings is scored by the cosine of its embeddings, and the equal
error rate (EER) is the one at which as many pairs of one speaker are rejected as pairs of two are accepted. Low is good
for the static code, high for the dynamic one (50%: no trace of the speaker).

A dynamic code without any information has a high EER too. Linear classifiers therefore also predict what is said, and who
speaks, from both codes. Every figure stands beside its floor, the same test on the features themselves.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression

from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.evaluation.classifiers import best_of, fit
from unbraid.evaluation.error_rates import Pairs, cosines, figure_of
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.recordings import Recordings, content_label, speaker_label
from unbraid.evaluation.repeats import check_repeats
from unbraid.evaluation.scores import Scores
from unbraid.models.base import SequenceModel

__all__ = ["PROTOCOL", "evaluate_verification"]

PARTS = 4  # of a recording, whose means in order describe its course
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # of the classifiers, as 1 / penalty; the first of the best is kept


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
) -> Scores:
    """Verify speakers by the static and by the dynamic code, and predict content and speaker from both.

    A recording is all sequences of one number in `data.groups`, in the order of the data set; without groups every
    sequence is one. Its static embedding is the mean over them of the posterior means of s, its dynamic embedding the
    mean over all their observed steps of the posterior means of d.

    Figures are shares from 0 to 1: `{"mean", "std", "floor", "chance"}`. The floor is the same test on the features
    themselves (scaled to mean 0 and deviation 1 by training values, averaged over the recording), chance that of a
    code without a trace of the label. std is 0: only the bootstrap's speakers are drawn.

    Keys of the result:

    - `static_eer` (low is good), `dynamic_eer` (high is good), `gap` (dynamic - static), over all unordered pairs;
      each with an `interval` that holds 95% of a bootstrap over speakers, None with fewer than three of them. A pair
      of two speakers counts as often as the product of how often they were drawn.
    - `same_content`, `different_content`: the three figures on the pairs that agree and that differ in what is said,
      and the number of those `pairs`. A static code that holds the word fails on the second.
    - `probe`: for `content` and `speaker`, the accuracy of a linear classifier that was trained on `train` and chosen on
      `validation`: from `static`, from `dynamic_mean`, and from the means of four parts of the recording in order
      (`dynamic_parts`).
    - `left_out`: tests that could not be scored, and why. The probe of the speaker is among them where test speakers do not
      occur in `train`.
    - `labels`, `protocol`: the names of the two labels; data, split, counts, resamples, seed.

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
    check_repeats(resamples, "resamples")
    model.require("encode")
    speaker = speaker_label(data, speaker)
    content = content_label(data, content)
    labels = [speaker] if content is None else [speaker, content]
    tested = Recordings.of(model, data, split, labels, batch_size)
    pairs = Pairs(tested.labels[speaker])
    pairs.check(f"{split!r} of {data.name}", speaker)
    trained = {
        name: Recordings.of(model, data, name, labels, batch_size)
        for name in ("train", "validation")
        if name in data.splits
    }
    scaling = Scaling.fit(np.concatenate(trained.get("train", tested).features))
    tested = tested.scaled(scaling)
    trained = {name: recordings.scaled(scaling) for name, recordings in trained.items()}

    embeddings = {"static": tested.static, "dynamic": tested.dynamic_mean, "features": tested.features_mean}
    cosine = {name: cosines(vectors) for name, vectors in embeddings.items()}
    scores = Scores(pairs.figures(cosine, np.ones(len(pairs.same), dtype=bool)))
    bounds = pairs.intervals(cosine, resamples, np.random.default_rng(seed))
    for name, interval in bounds.items():
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


# ---- predictions from the codes -------------------------------------------------------------------------


def _no_probe(trained: Mapping[str, Recordings], tested: Recordings, label: str) -> str:
    """Why a label cannot be predicted from the codes, or nothing."""
    if len(trained) < 2:
        return "there is no split to train on, or none to choose on"
    in_training = np.unique(trained["train"].labels[label])
    in_test = np.unique(tested.labels[label])
    if len(in_training) < 2:
        return f"the training split has one {label} only"
    unseen = np.setdiff1d(in_test, in_training)
    if len(unseen):
        return f"{len(unseen)} of {len(in_test)} classes of {label} do not occur in the training split"
    return ""


def _probe(sets: Sequence[Recordings], label: str, chance: float) -> dict[str, dict[str, float]]:
    """Accuracy of the label from each form of the codes, beside that from the same form of the features.

    Args:
        sets: recordings to train on, to choose on and to score.
        label: its name.
        chance: 1 / classes.
    """
    labels = [recordings.labels[label] for recordings in sets]
    mean = linear_probe([recordings.features_mean for recordings in sets], labels)
    parts = linear_probe([in_parts(recordings.features) for recordings in sets], labels)
    static = linear_probe([recordings.static for recordings in sets], labels)
    dynamic_mean = linear_probe([recordings.dynamic_mean for recordings in sets], labels)
    dynamic_parts = linear_probe([in_parts(recordings.dynamic) for recordings in sets], labels)
    return {
        "static": figure_of(static, mean, chance),
        "dynamic_mean": figure_of(dynamic_mean, mean, chance),
        "dynamic_parts": figure_of(dynamic_parts, parts, chance),
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


def linear_probe(
    vectors: Sequence[Float[np.ndarray, "U E"]], labels: Sequence[Int[np.ndarray, "U"]]
) -> float:
    """Accuracy on the third of three sets of a logistic regression fitted on the first and chosen on the second."""

    def accuracy(classifier: Any, part: int) -> float:
        return float(np.mean(classifier.predict(vectors[part]) == labels[part]))

    fitted = (fit(LogisticRegression(C=c, max_iter=2000), vectors[0], labels[0]) for c in STRENGTHS)
    _, best = best_of(fitted, lambda classifier: -accuracy(classifier, 1))
    return accuracy(best, 2)


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
