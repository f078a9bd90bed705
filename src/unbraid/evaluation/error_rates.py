"""The equal error rate of pairs of recordings, and its bootstrap over speakers."""

import numpy as np
from jaxtyping import Bool, Float, Int

from unbraid.evaluation.intervals import interval, resamples_of
from unbraid.evaluation.scores import Figure

__all__ = ["Pairs", "cosines", "equal_error_rate", "figure_of"]

FEWEST_SPEAKERS = 3  # for an interval; draws from two speakers say nothing


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
    """Where the error rates meet.

    Args:
        same: weight of each pair in ascending order of the scores, 0 where it is of two speakers.
        different: the same, 0 where it is of one speaker.
        thresholds: the last pair of each distinct score.
    """
    rejected, accepted = np.cumsum(same)[thresholds], np.cumsum(different)[thresholds]
    false_rejection = np.append(0.0, rejected / rejected[-1])
    false_acceptance = np.append(1.0, 1 - accepted / accepted[-1])
    gap = false_rejection - false_acceptance  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(np.interp(share, (0, 1), false_rejection[after - 1 : after + 1]))


def cosines(embeddings: Float[np.ndarray, "U E"]) -> Float[np.ndarray, "P"]:
    """Cosine of all unordered pairs, in the order of `np.triu_indices`; 0 with a vector of zeros."""
    size = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = np.divide(embeddings, size, out=np.zeros_like(embeddings, dtype=np.float64), where=size > 0)
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


# ---- pairs ----------------------------------------------------------------------------------------------


class Pairs:
    """All unordered pairs of recordings, in the order of `cosines`.

    Args:
        speakers: number of the speaker of each recording.
    """

    def __init__(self, speakers: Int[np.ndarray, "U"]) -> None:
        self.names, number = np.unique(speakers, return_inverse=True)
        first, second = np.triu_indices(len(speakers), 1)
        self.first, self.second = number[first], number[second]
        self.same = self.first == self.second

    def check(self, where: str, speaker: str) -> None:
        """Refuse pairs of one kind only.

        Args:
            where: the split and the data set, for the message.
            speaker: name of the label.

        Raises:
            ValueError: fewer than two speakers, or no two recordings of one.
        """
        if len(self.names) < 2:
            raise ValueError(
                f"split: {where} has {len(self.names)} {speaker}; verification needs at least two"
            )
        if not self.same.any():
            raise ValueError(
                f"split: no two recordings in {where} are of one {speaker}; add recordings, or say by groups which "
                "sequences belong to one recording"
            )

    def both_kinds(self, chosen: np.ndarray) -> bool:
        """Whether there are pairs of one speaker and pairs of two among the chosen."""
        return bool(self.same[chosen].any() and not self.same[chosen].all())

    def figures(self, cosine: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, dict[str, float]]:
        """The error rates of both codes and their gap, on the chosen pairs."""
        rate = {name: equal_error_rate(scores[chosen], self.same[chosen]) for name, scores in cosine.items()}
        return {
            "static_eer": figure_of(rate["static"], rate["features"], 0.5),
            "dynamic_eer": figure_of(rate["dynamic"], rate["features"], 0.5),
            "gap": figure_of(rate["dynamic"] - rate["static"], 0.0, 0.0),
        }

    def intervals(
        self, cosine: dict[str, np.ndarray], resamples: int, generator: np.random.Generator
    ) -> dict[str, list[float] | None]:
        """Bounds of 95% of a bootstrap over speakers, for each figure; None with fewer than `FEWEST_SPEAKERS`.

        A pair of two speakers counts as often as the product of how often they were drawn.
        """
        names = ("static_eer", "dynamic_eer", "gap")
        if len(self.names) < FEWEST_SPEAKERS:
            return dict.fromkeys(names)
        order = {name: np.argsort(cosine[name]) for name in ("static", "dynamic")}
        thresholds = {name: _last_of_equals(cosine[name][order[name]]) for name in order}
        rates: list[tuple[float, float]] = []
        for times in resamples_of(len(self.names), generator):
            if len(rates) == resamples:
                break
            same = np.where(self.same, times[self.first], 0)
            different = np.where(self.same, 0, times[self.first] * times[self.second])
            if not (same.any() and different.any()):
                continue  # all draws are of one speaker: draw again
            static, dynamic = (
                _crossing(same[order[name]], different[order[name]], thresholds[name]) for name in order
            )
            rates.append((static, dynamic))
        static, dynamic = np.array(rates).T
        values = zip(names, (static, dynamic, dynamic - static), strict=True)
        return {name: list(interval(of_resamples)) for name, of_resamples in values}


def figure_of(value: float, floor: float, chance: float) -> dict[str, float]:
    """A figure without repeats, with the score of a code that holds no trace of the label as `chance`."""
    return Figure(value, 0.0, floor).to_json() | {"chance": chance}
