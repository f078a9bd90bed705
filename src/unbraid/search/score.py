"""The score that a search maximises: a figure of a validation split, never of the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unbraid.benchmark.score_columns import figure_at, shared_columns
from unbraid.data.load import info
from unbraid.registry import DATASETS, PROTOCOLS, protocol
from unbraid.words import nearest

__all__ = ["SearchScore", "check_terms", "default_score", "read_score"]

TERMS = "terms"
DEFAULTS = {"generation": "accuracy", "verification": "eer_gap"}


@dataclass(frozen=True)
class SearchScore:
    """A validation figure, more is better.

    Attributes:
        text: as it was asked for.
        path: of the figure in a run's scores, or `terms/<name>` for the mean of a term of the objective.
        sign: -1 where less is better.
    """

    text: str
    path: str
    sign: int = 1

    @property
    def term(self) -> str | None:
        """The name of the term, None for a figure of a protocol."""
        first, _, rest = self.path.partition("/")
        return rest if first == TERMS else None

    @property
    def protocol(self) -> str | None:
        """The protocol that computes it, None for a term."""
        return None if self.term else self.path.partition("/")[0]

    @property
    def name(self) -> str:
        """What it is called, without the sign."""
        return self.text.lstrip("-")

    def show(self, value: float) -> str:
        """A value in words, with the sign that it has in the scores."""
        return f"{self.name} {self.sign * value:.4g}"

    def of(self, scores: Mapping[str, Any], codes: str = "both") -> float:
        """The value in the scores of a run, by protocol.

        Raises:
            ValueError: the figure is not there.
        """
        figure = figure_at(scores, self.path, codes)
        if figure is None:
            raise ValueError(f"score: the run's scores hold no {self.path}")
        return self.sign * figure.mean


def default_score(data: str) -> str:
    """The score that searches on a data set maximise where none is named: a figure of its first protocol.

    Args:
        data: name of the data set, or the path of your own data.

    Raises:
        ValueError: there is no such figure; says how to name one.
    """
    first = info(data).protocols[0] if data in DATASETS else ""
    if first not in DEFAULTS:
        raise ValueError(
            "score: name what is maximised on validation, such as --score=-terms/reconstruction, or a column of the tables"
        )
    return DEFAULTS[first]


def check_terms(named: Mapping[str, str | None], terms: Sequence[str]) -> None:
    """Refuse names of terms that a model lacks.

    Args:
        named: the term that an argument names, by the argument; None for no term.
        terms: of the model.

    Raises:
        ValueError: names the argument and the term.
    """
    columns = [*terms, "total"]
    for argument, term in named.items():
        if term is not None and term not in columns:
            hint = nearest(term, columns) or f"; its terms are {', '.join(columns)}"
            raise ValueError(f"{argument}: the model has no term {term!r}{hint}")


def read_score(text: str) -> SearchScore:
    """A score from the words of a user: a column of the tables, a path, or a term; `-` before it where less is better.

    `accuracy`, `-squared_error_per_clip`, `leakage/latent_gap/static/static`, `-terms/reconstruction`.

    Raises:
        ValueError: there is no such score, or it is one of the test split.
    """
    sign, name = (-1, text[1:]) if text.startswith("-") else (1, text)
    first = name.partition("/")[0]
    if first == "test":
        raise ValueError(
            f"score: {text!r} is of the test split, which settings are never chosen by; give a score of validation"
        )
    if first == TERMS and name != TERMS:
        return SearchScore(text, name, sign)
    columns = shared_columns()
    path = columns[name].score if name in columns else name
    first, _, rest = path.partition("/")
    if first not in PROTOCOLS or not rest:
        known = [*columns, *(f"{each}/..." for each in PROTOCOLS), f"{TERMS}/reconstruction"]
        raise ValueError(f"score: there is no score {text!r}{nearest(name, known)}")
    if "split" not in protocol(first).options:
        raise ValueError(
            f"score: {first} scores the test split alone, which settings are never chosen by; give another score"
        )
    return SearchScore(text, path, sign)
