"""Self-agreement: generation scored without an encoder, by comparing two clips that a method made itself.

Draw both codes and decode them; keep one code, draw the other anew and decode again. The judge should see the labels of the
kept code in both clips. There is no recording to compare with, so such a score is not comparable with those of methods that
encode: a method that always makes the same clip agrees with itself. That is what H(y) and the floors are for. The floor of
each label is its agreement in two clips that share no code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from unbraid.evaluation import metrics
from unbraid.evaluation.exchanges import scored_code
from unbraid.evaluation.judging import JudgedModel, Probabilities, agreement, label_gap
from unbraid.evaluation.repeats import seed_of_repeat
from unbraid.evaluation.scores import figures_over_repeats
from unbraid.generation import evaluating
from unbraid.types import Codes

__all__ = ["judge_own_clips"]


def judge_own_clips(judged: JudgedModel, repeats: int, seed: int, prior_mean: bool) -> dict[str, Any]:
    """The figures of `evaluate_generation` that need no encoder, on as many drawn clips as the split has.

    Args:
        judged: a model with a decoder and priors of both codes, its judge and the clips, which give number and length.
        repeats: independent repeats.
        seed: of the draws.
        prior_mean: decode the prior's means along a drawn path instead of draws.
    """
    kept, scored = scored_code(judged)
    tests: dict[str, list[dict[str, float]]] = {"keep_dynamic": [], "keep_static": []}
    measures, apart = [], []
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(seed_of_repeat(seed, repeat))
        first, second = (_drawn(judged, generator, prior_mean) for _ in range(2))
        truth = {name: p.argmax(1) for name, p in judged.read(first, generator).items()}
        seen = {
            "dynamic": judged.read(Codes(second.static, first.dynamic), generator),
            "static": judged.read(Codes(first.static, second.dynamic), generator),
        }
        for kind, probabilities in seen.items():
            tests[f"keep_{kind}"].append(agreement(probabilities, truth))
        apart.append(agreement(judged.read(second, generator), truth))
        measures.append(_measures(seen[kept], truth, scored))
    floors = {name: float(np.mean([shares[name] for shares in apart])) for name in apart[0]}
    classes = [len(judged.clips.labels[name].classes) for name in scored]
    floors_of_measures = {
        "accuracy": float(np.mean([floors[name] for name in scored])),
        "inception_score": 1.0,
        "entropy_conditional": float(np.mean(np.log(classes))),
        "entropy_marginal": 0.0,
    }
    scores: dict[str, Any] = {"scored": {"kept": kept, "labels": list(scored)}}
    scores |= figures_over_repeats(measures, floors_of_measures)
    scores |= {test: figures_over_repeats(shares, floors) for test, shares in tests.items()}
    heads = judged.clips.heads
    if {label.kind for label in heads.values()} == {"static", "dynamic"}:
        scores["gap"] = {
            f"{kind}_kept": label_gap(heads, tests[f"keep_{kind}"], floors, kind) for kind in seen
        }
    return scores


def _drawn(judged: JudgedModel, generator: torch.Generator, prior_mean: bool) -> Codes:
    with evaluating(judged.model) as model:
        codes = model.draw(len(judged.clips), judged.clips.steps, generator)
        return Codes(codes.static, model.prior(codes.dynamic).mean if prior_mean else codes.dynamic).to("cpu")


def _measures(
    seen: Probabilities, truth: Mapping[str, np.ndarray], scored: Sequence[str]
) -> dict[str, float]:
    """The four figures of each label, averaged over the labels; drawn clips are not balanced by their classes."""
    return {
        "accuracy": float(np.mean([metrics.accuracy(seen[name], truth[name]) for name in scored])),
        "inception_score": float(np.mean([metrics.inception_score(seen[name]) for name in scored])),
        "entropy_conditional": float(np.mean([metrics.entropy_conditional(seen[name]) for name in scored])),
        "entropy_marginal": float(np.mean([metrics.entropy_marginal(seen[name]) for name in scored])),
    }
