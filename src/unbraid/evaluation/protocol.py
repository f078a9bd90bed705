"""A protocol as an object: what it needs, which data suit it, its options; and running several on one model.

To add a protocol, write `evaluation/<name>.py` with a function `evaluate_<name>` and `PROTOCOL = Protocol(...)`,
`report/protocols/<name>.py` for its section of the report, a test, and one line in `registry.PROTOCOLS`.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from unbraid.cards import Capability
from unbraid.data.load import info
from unbraid.data.sequences import Sequences
from unbraid.evaluation.scores import Scores, write_scores
from unbraid.models.base import SequenceModel
from unbraid.registry import DATASETS, PROTOCOLS, protocol
from unbraid.words import nearest

__all__ = ["Protocol", "fitting_protocols", "run_protocols", "why_no_protocol"]


@dataclass(frozen=True)
class Protocol:
    """One way to score a trained model.

    Attributes:
        name: the registered name, which is also that of its score file.
        title: heading of its scores.
        needs: capabilities that a method must have.
        unsuited: of a data set, the reason why it cannot be scored; "" where it can.
        evaluate: `evaluate_<name>(model, data, *, ...)`. Its keyword-only parameters are the options, checked against
            their annotations.
        uses: protocols whose scores `evaluate` takes, as parameters of their names, where they were just computed.
        on_request: whether it runs only when a data card or the user names it (because it takes long).
        or_needs: capabilities that do in place of `needs`; none by default.
    """

    name: str
    title: str
    needs: frozenset[Capability]
    unsuited: Callable[[Sequences], str]
    evaluate: Callable[..., Scores]
    uses: tuple[str, ...] = ()
    on_request: bool = False
    or_needs: frozenset[Capability] = frozenset()

    @property
    def options(self) -> dict[str, Any]:
        """The annotation of each option by its name."""
        hints = get_type_hints(self.evaluate)
        parameters = inspect.signature(self.evaluate).parameters.values()
        return {
            parameter.name: hints[parameter.name]
            for parameter in parameters
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in self.uses
        }

    def why_not(self, data: Sequences, model: SequenceModel | None = None) -> str:
        """Why this protocol does not suit the data and the model; "" where it does.

        Args:
            data: a data set.
            model: a model; None to ask for the data alone.
        """
        lacking = [] if model is None else self.lacking(model)
        return f"the method has no {lacking[0]}" if lacking else self.unsuited(data)

    def lacking(self, model: SequenceModel) -> list[Capability]:
        """The capabilities that this protocol needs and a model lacks."""
        if self.or_needs and all(model.can(name) for name in self.or_needs):
            return []
        return [name for name in sorted(self.needs) if not model.can(name)]

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that this protocol does not take.

        Raises:
            ValueError: a name or a type that does not fit.
        """
        for name, value in options.items():
            if name not in self.options:
                raise ValueError(f"{name}: is no option of {self.name}{nearest(name, self.options)}")
            if not _fits(value, self.options[name]):
                raise ValueError(
                    f"{name}: {value!r} does not fit {self.name}; give {_words(self.options[name])}"
                )

    def run(
        self,
        model: SequenceModel,
        data: Sequences,
        options: Mapping[str, Any],
        results: Mapping[str, Scores] | None = None,
    ) -> Scores:
        """Score a model.

        Args:
            model: a trained model.
            data: its data set.
            options: names and values, all of them options of this protocol.
            results: scores of other protocols of the same model; those named in `uses` are passed on.

        Raises:
            ValueError: a method without what this protocol needs, an option that does not fit, or data that cannot be
                scored.
        """
        model.require(*self.lacking(model))
        self.check(options)
        used = {name: scores for name, scores in (results or {}).items() if name in self.uses}
        return self.evaluate(model, data, **options, **used)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(value, bool):  # a bool is an int to Python, but no number of repeats
        return bool in _alternatives(hint)
    return any(isinstance(value, get_origin(kind) or kind) for kind in _alternatives(hint))


def _words(hint: Any) -> str:
    return " or ".join(kind.__name__ if isinstance(kind, type) else str(kind) for kind in _alternatives(hint))


def fitting_protocols(name: str, data: Sequences, model: SequenceModel | None = None) -> tuple[str, ...]:
    """The protocols by which a model is scored on a data set, unless the user names others.

    For a registered data set those of its card; for one's own data all that suit it and do not run on request only.
    Protocols that need more than the method can do are left out.

    Args:
        name: the data set's name in `config.yaml`: a registered name, or a path.
        data: the data set.
        model: the model; None to choose by the data alone.
    """
    return tuple(each for each, reason in _why_not(name, data, model).items() if not reason)


def why_no_protocol(name: str, data: Sequences, model: SequenceModel | None = None) -> str:
    """Why `fitting_protocols` leaves protocols out, in words; see there for the arguments."""
    reasons = _why_not(name, data, model)
    return "; ".join(f"{each}: {reason}" for each, reason in reasons.items() if reason)


def _why_not(name: str, data: Sequences, model: SequenceModel | None) -> dict[str, str]:
    """The usual protocols of a data set, and why each does not fit; "" where it does."""
    if name in DATASETS:
        lacking = {
            each: [] if model is None else protocol(each).lacking(model) for each in info(name).protocols
        }
        return {each: f"the method has no {names[0]}" if names else "" for each, names in lacking.items()}
    every = [protocol(each) for each in PROTOCOLS]
    return {each.name: each.why_not(data, model) for each in every if not each.on_request}


def run_protocols(
    model: SequenceModel,
    data: Sequences,
    folder: str | Path,
    names: Iterable[str],
    options: Mapping[str, Any],
) -> dict[str, Exception]:
    """Score a model by several protocols and write their scores; an error in one does not stop the others.

    Args:
        model: a trained model.
        data: its data set.
        folder: the run's folder.
        names: of the protocols.
        options: names and values; each protocol gets those that it takes.

    Returns:
        The error of each protocol that failed, by its name.

    Raises:
        ValueError: there is no such protocol, no protocol has such an option, or a value does not fit. Nothing is
            scored then.
    """
    protocols = [protocol(name) for name in dict.fromkeys(names)]
    every = {option for name in PROTOCOLS for option in protocol(name).options}
    for option in options:
        if option not in every:
            raise ValueError(f"{option}: no protocol has this option{nearest(option, every)}")
    taken = {
        each.name: {option: value for option, value in options.items() if option in each.options}
        for each in protocols
    }
    for each in protocols:
        each.check(taken[each.name])
    errors: dict[str, Exception] = {}
    results: dict[str, Scores] = {}
    for each in protocols:
        try:
            results[each.name] = each.run(model, data, taken[each.name], results)
            write_scores(folder, each.name, results[each.name])
        except Exception as error:  # the scores of the others are kept; the caller reports the error
            errors[each.name] = error
    return errors
