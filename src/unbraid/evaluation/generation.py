"""Scores of generation: keep one code, draw or exchange the other, and let a judge read the decoded clips.

The protocol of DSVAE-type models (Bai et al., NeurIPS 2021, supplement; Berman et al., ICML 2024), stricter in three
points. All clips of the split are scored; published code leaves out the last, incomplete batch. Dynamic codes are drawn
from the prior; published code decodes the prior's means along a drawn path (see `prior_mean`). And every figure stands
beside its floor, the score of chance or of a method that has learned nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from unbraid.data.sequences import Sequences
from unbraid.evaluation.exchanges import SHARES, judge_exchanges
from unbraid.evaluation.judge import Judge, train_judge
from unbraid.evaluation.judging import JudgedModel, agreement, chance_of, describe_label, parts_of
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.reconstruction import mean_clip_error, squared_error
from unbraid.evaluation.repeats import check_repeats, some_rows
from unbraid.evaluation.scores import Figure, Scores, figures_over_repeats
from unbraid.evaluation.self_agreement import judge_own_clips
from unbraid.generation import decode, encode
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar

__all__ = [
    "LABEL_TESTS",
    "MEASURES",
    "PROTOCOL",
    "LabelTest",
    "Measure",
    "evaluate_generation",
    "scored_labels",
]


@dataclass(frozen=True)
class LabelTest:
    """A way to decode clips, after which a judge looks for every label.

    Attributes:
        title: of a picture or a section.
        heading: of a column, shorter.
        recognised: the kinds of labels that the judge should find; the others should be at their floor.
    """

    title: str
    heading: str
    recognised: tuple[Literal["static", "dynamic"], ...]


LABEL_TESTS = {
    "reconstruction": LabelTest("Reconstruction", "rebuilt", ("static", "dynamic")),
    "keep_dynamic": LabelTest("Dynamics kept, static drawn", "static drawn", ("dynamic",)),
    "keep_static": LabelTest("Static kept, dynamics drawn", "dynamics drawn", ("static",)),
    "swap": LabelTest("Swap: agrees with the right giver", "swapped", ("static", "dynamic")),
    "swap_leak": LabelTest("Swap: agrees with the wrong giver", "swapped, wrong giver", ()),
}
"""The tests of labels by their keys in the scores, in the order in which they are shown."""


@dataclass(frozen=True)
class Measure:
    """A figure of the whole split.

    Attributes:
        heading: of its row or column.
        meaning: half a sentence; `{labels}` and `{drawn}` stand for the words of `scored_labels`.
        share: whether it is shown in percent.
    """

    heading: str
    meaning: str
    share: bool = False


MEASURES = {
    "accuracy": Measure("Acc", "clips that keep {labels} when the {drawn} drawn", share=True),
    "inception_score": Measure("IS", "inception score: classes clear and varied"),
    "entropy_conditional": Measure("H(y|x)", "nats; low: each class is clear"),
    "entropy_marginal": Measure("H(y)", "nats; high: all classes occur"),
    "squared_error_per_clip": Measure(
        "Squared error", "of a reconstructed clip, summed over its values; low"
    ),
    "swap_error_per_clip": Measure(
        "Error of swaps", "squared, of a swapped clip against the clip with these labels; low"
    ),
}
"""The figures of the whole split by their keys in the scores."""


def scored_labels(scores: Mapping[str, Any]) -> dict[str, str]:
    """The words for `Measure.meaning`: which labels `accuracy` is of, and which code is drawn."""
    scored = scores.get("scored", {})
    if scored.get("kept") == "static":
        names = " and ".join(scored["labels"]).replace("_", " ")
        return {"labels": f"their {names}", "drawn": "dynamics are"}
    return {"labels": "their motion", "drawn": "static code is"}


def evaluate_generation(
    model: SequenceModel,
    data: Sequences,
    *,
    judge: Judge | None = None,
    split: str = "test",
    repeats: int = 5,
    seed: int = 0,
    clips: int | None = None,
    prior_mean: bool = False,
    accept_weak_judge: bool = False,
    batch_size: int = 128,
    cache: str | Path | None = None,
) -> Scores:
    """Score what a model generates on one split of a data set.

    Every figure is `{"mean", "std", "floor"}`. std is over the repeats (ddof 0), which differ in what is drawn; it is 0
    where nothing is drawn. It does not show how far models trained from other seeds differ. Shares are 0 to 1, entropies
    in nats. Floors: of `accuracy` the share of the most frequent class; of each label in the tests below chance,
    1 / classes; of the inception score 1; of H(y|x) ln(classes), a judge that cannot tell anything; of H(y) 0, one class
    only; of the squared error that of the mean training clip.

    Keys of the result:

    - `accuracy`, `inception_score`, `entropy_conditional` H(y|x), `entropy_marginal` H(y): how well the labels named in
      `scored` are kept; all but the accuracy on a class-balanced subset. With a dynamic label it is the first of them,
      under kept dynamics and a drawn static code. Without one it is the mean over all static labels, under a kept static
      code and drawn dynamics.
    - `keep_dynamic`: share of clips that still show each label of the original when the static code is drawn. Static
      labels should be at the floor, dynamic ones high.
    - `keep_static`: the same when the dynamics are drawn. Dynamic labels should be at the floor.
    - `gap`: for both tests, where there are labels of both kinds: the mean over the static and over the dynamic labels
      (parts left out), and how much higher the mean of the kept kind is.
    - `swap`: each label compared with the clip that should supply it (dynamic labels: the giver of the dynamics);
      `swap_leak`: with the other clip of the pair, which should be at the floor.
    - `confusion`: for each label in `scored` the number of swapped clips by the class of the clip that should supply it
      (rows) and by the class that the judge sees (columns), all repeats together.
    - `failures`: swapped clips of the first repeat in which the judge is surest of a wrong class of `scored`; their
      givers are places in the split.
    - `interpolation`: the static code goes in equal steps from a clip's own to its partner's, under the clip's own
      dynamics. The share of clips that show each label as the clip does (`own`) and as the partner does (`other`).
      Dynamic labels should stay with `own`. `interpolation_examples` names two pairs and what the judge sees.
    - `reconstruction`: each label on reconstructed clips.
    - `squared_error_per_clip`: of the reconstruction, summed over a clip's observed values, mean over clips.
    - `swap_error_per_clip`: squared error of swapped clips against the clips of the split that have the labels that the
      swaps should show, where labels of both kinds name exactly one clip (puppets, Sprites). Clips with the same labels are
      then the same clip but for what no label says.
    - `judge`: each label's accuracy on the real clips of the split, and the judge's settings.
    - `labels`, `protocol`: kinds, chance and majority of the labels; data, split, clips, repeats, seed.

    Labels that are part of another (an action of a motion) are scored by summing the judge's probabilities. Without
    labels only the squared error is computed. A method without a prior of the dynamic codes has no `keep_static`. For one
    without a prior of the static code, static codes of other clips are dealt out instead of drawn. Where the decoder does
    not read the static code, nothing can be exchanged, and only reconstructions are scored. A method without an encoder is
    compared with its own drawn clips (`unbraid.evaluation.self_agreement`): `keep_dynamic` and `keep_static` count clips
    that show each label of the clip that shares the kept code, their floors are those of two clips that share none, and
    there are neither swaps nor reconstructions. `protocol` says so.

    Args:
        model: a trained model.
        data: its data set, with `split` (and `train`, `validation` where a judge is trained).
        judge: a judge of `data.heads`; None to take the cached one of this data set, or to train it.
        split: the split to score.
        repeats: independent repeats.
        seed: of all that is drawn. The global random state is left alone.
        clips: the most clips that are scored, chosen by the seed, for slow decoders; None for all.
        prior_mean: decode the prior's means along a drawn path, for comparison with published code.
        accept_weak_judge: score although a head of the judge is below 99% on real clips.
        batch_size: clips decoded at a time.
        cache: folder of the trained judges; None for the library's own.

    Raises:
        ValueError: no such split, fewer than two clips, a model that cannot decode, or neither encode nor draw, a weak or unfit judge,
            repeats below 1.
    """
    check_repeats(repeats)
    model.require("decode")
    if not model.can("encode"):
        model.require("static_prior", "dynamic_prior")
        if not data.heads:
            raise ValueError(
                f"data: {data.name} has no labels; {model.card.name} has no encoder, so only a judge of labels can score it"
            )
    whole = data.split(split)
    rows = some_rows(len(whole), clips, seed)
    if len(rows) < 2:
        raise ValueError(f"split: {len(rows)} sequence of {split!r} of {data.name} is scored; swaps need two")
    scored = whole if len(rows) == len(whole) else whole.take(rows)
    codes = encode(model, scored, batch_size) if model.can("encode") else None
    noise = torch.Generator().manual_seed(seed)  # of decoders that draw
    mean_error = 0.0 if codes is None else mean_clip_error(data, scored, batch_size)
    exchanges = model.can("decoded_static")
    scores = Scores()
    if data.heads:
        judge = judge or train_judge(data, cache=cache, seed=0)
        tests = 2 + exchanges * (len(SHARES) - 2 + repeats * (3 if model.can("dynamic_prior") else 2))
        passes = 1 + 4 * repeats if codes is None else tests
        with progress_bar(f"scoring on {data.name}", passes * -(-len(scored) // batch_size)) as advance:
            judged = JudgedModel(model, judge, scored, parts_of(data), batch_size, advance)
            scores["judge"] = judged.check(accept_weak_judge)
            if codes is None:
                scores |= judge_own_clips(judged, repeats, seed, prior_mean)
            else:
                rebuilt = judged.read(codes, noise)
                if exchanges:
                    scores |= judge_exchanges(
                        judged, codes, rebuilt, rows, repeats, seed, prior_mean, noise, mean_error
                    )
                truth = {name: label.values for name, label in scored.labels.items()}
                shares = figures_over_repeats([agreement(rebuilt, truth)], chance_of(scored.labels))
                scores["reconstruction"] = shares
    if codes is not None:
        scores["squared_error_per_clip"] = Figure(
            squared_error(
                scored, lambda block: decode(model, codes[block], batch_size, generator=noise), batch_size
            ),
            0.0,
            mean_error,
        ).to_json()
    scores["labels"] = {name: describe_label(label) for name, label in scored.labels.items()}
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(scored),
        "repeats": repeats,
        "seed": seed,
        "std": "over the repeats of one trained model",
        "dynamics_drawn": "means along a drawn path" if prior_mean else "samples",
    }
    if len(scored) < len(whole):
        scores["protocol"]["clips_of_the_split"] = len(whole)
    if not exchanges:
        scores["protocol"]["exchanges"] = "none: the decoder does not read the static code"
    elif not model.can("static_prior"):
        mixed = model.static_mixture > 1
        scores["protocol"]["static_drawn"] = (
            f"mixtures of the codes of {model.static_mixture} other clips"
            if mixed
            else "codes of other clips"
        )
    if codes is None:
        scores["protocol"]["compared_with"] = "the method's own clips (self-agreement)"
    return scores


def _unsuited(data: Sequences) -> str:
    static = any(label.kind == "static" for label in data.heads.values())
    series = data.kind in ("vectors", "windows")
    if (data.kind == "sound" and static) or (series and (data.labels or data.targets)):
        return "labels of series and sounds are predicted from the codes instead of judged in decoded clips"
    return ""


PROTOCOL = Protocol(
    name="generation",
    title="Generation",
    needs=frozenset({"encode", "decode"}),
    unsuited=_unsuited,
    evaluate=evaluate_generation,
    or_needs=frozenset({"decode", "static_prior", "dynamic_prior", "decoded_static"}),
)
