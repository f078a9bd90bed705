"""What the page can be asked for: from chosen sequences to files to show. No function here knows the browser."""

from collections.abc import Callable, Sequence

import torch

from unbraid.cards import Capability
from unbraid.generation import factor_of
from unbraid.models.base import CANNOT
from unbraid.page.codes import (
    Encoded,
    between,
    decode_one,
    drawn,
    encode_one,
    move,
    observed,
    swapped,
)
from unbraid.page.pictures import Shown, show
from unbraid.page.session import Clip, Session
from unbraid.types import Codes

__all__ = [
    "choices",
    "chosen",
    "draw",
    "draws",
    "factors",
    "interpolate",
    "limits",
    "present",
    "swap",
    "traverse",
    "words",
]

DRAWS = 4
WORDS = {"frames": ("appearance", "motion"), "sound": ("voice", "words")}
OWN = "own"


def words(session: Session) -> tuple[str, str]:
    """What the static and the dynamic code are called on the page."""
    return WORDS.get(session.kind, ("static code", "dynamics"))


def choices(session: Session, own: Sequence[Clip] = ()) -> list[tuple[str, str]]:
    """Title and key of every sequence that can be chosen, uploaded ones first."""
    uploaded = [(f"yours: {clip.title}", f"{OWN}:{number}") for number, clip in enumerate(own)]
    return uploaded + [(title, f"data:{number}") for number, title in enumerate(session.titles)]


def chosen(session: Session, key: str | None, own: Sequence[Clip] = ()) -> Clip:
    """The sequence of a key.

    Raises:
        ValueError: there is no such sequence.
    """
    place, _, number = str(key).partition(":")
    count = {OWN: len(own), "data": len(session.titles)}.get(place, 0)
    if not number.isdecimal() or int(number) >= count:
        raise ValueError("choose a sequence of the data, or upload one of your own")
    return own[int(number)] if place == OWN else session.clip(int(number))


def present(session: Session, clip: Clip) -> Shown:
    """A sequence as it is; of series also what the model rebuilds, with its band."""
    rebuilt = None
    if session.kind == "series" and session.model.can("encode"):
        codes = encode_one(session.model, clip.sequence).codes
        rebuilt = decode_one(session.model, codes, clip.sequence)
    return show(session, clip.title, rebuilt, clip.sequence, observed(clip.sequence))


def swap(session: Session, a: Clip, b: Clip, factor: str = "static") -> list[Shown]:
    """B with a factor of A, and A with that of B; by default the static code. A label stands for its components.

    Raises:
        ValueError: the method cannot, or the factor needs sequences of one length.
    """
    model = session.model
    model.require("encode", "decoded_static" if factor == "static" else "decode")
    first, second = _encoded(session, a), _encoded(session, b)
    static, dynamic = words(session)
    titles = [f"{static} of A, {dynamic} of B", f"{static} of B, {dynamic} of A"]
    if factor != "static":
        titles = [f"B with {factor} of A", f"A with {factor} of B"]
    pairs = [(first, second), (second, first)]
    take = _taking(session, factor)
    made = [swapped(model, giver, taker, take) for giver, taker in pairs]
    return [
        show(session, title, each, taker.clip)
        for title, each, (_, taker) in zip(titles, made, pairs, strict=True)
    ]


def _taking(session: Session, factor: str) -> Callable[[Codes, Codes], Codes]:
    """A function of two codes: the first with a factor of the second; a label stands for its components."""
    if factor not in session.attributes:
        part = factor_of(session.model, factor)
        return lambda codes, other: codes.exchange(other, part)
    components = session.components
    if components is None:
        raise ValueError(f"{factor}: the static codes do not vary, so nothing in them can be exchanged")
    numbers = session.components_of.get(factor, ())
    if not numbers:
        raise ValueError(f"{factor}: no component of the static code tells most about it")
    return lambda codes, other: components.exchange(codes, other, numbers)


def interpolate(session: Session, a: Clip, b: Clip, share: float) -> Shown:
    """The dynamics of A under a static code between that of A (share 0) and that of B (share 1)."""
    session.model.require("encode", "decoded_static")
    made = between(session.model, _encoded(session, a), _encoded(session, b), share)
    return show(session, f"{1 - share:.0%} A and {share:.0%} B", made, a.sequence)


def traverse(session: Session, a: Clip, name: str, amount: float) -> Shown:
    """A with its codes moved along a direction of `session.directions`, in standard deviations of the data.

    Raises:
        ValueError: there is no such direction.
    """
    if name not in session.directions:
        raise ValueError(f"direction: there is no {name!r}; choose one of the list")
    made = move(session.model, _encoded(session, a), session.directions[name], amount)
    return show(session, f"{name}, {amount:+g} deviations", made, a.sequence)


def draw(session: Session, a: Clip, parts: frozenset[str], seed: int) -> list[Shown]:
    """`DRAWS` sequences with drawn codes; the code that is not drawn is that of A.

    Raises:
        ValueError: the method cannot draw one of the codes.
    """
    model = session.model
    source = _encoded(session, a) if model.can("encode") else a.sequence
    others = None
    if "static" in parts and not model.can("static_prior"):
        model.require("encode")
        if session.pool is None:
            model.require("static_prior")
        others = torch.from_numpy(session.mean_codes[0])
    made = drawn(model, source, parts, DRAWS, seed, others)
    return [show(session, f"draw {number}", each, a.sequence) for number, each in enumerate(made, start=1)]


def _encoded(session: Session, clip: Clip) -> Encoded:
    return encode_one(session.model, clip.sequence)


# ---- what a method can do -------------------------------------------------------------------------------


def factors(session: Session) -> list[str]:
    """Names of what can be exchanged: the whole static code, where it is decoded; factors of the method; static labels."""
    model = session.model
    own = [name for name, factor in model.factors.items() if factor.columns is not None]
    whole = ["static"] if model.can("decoded_static") else []
    return whole + own + session.attributes if model.can("encode") else []


def draws(session: Session) -> dict[str, frozenset[str]]:
    """What can be drawn, by its name on the page."""
    model = session.model
    static, dynamic = words(session)
    possible = {}
    if model.can("encode"):
        dealt = "" if model.can("static_prior") else " (of other sequences)"
        if model.can("decoded_static") and (model.can("static_prior") or session.pool is not None):
            possible[f"{static}{dealt}"] = frozenset({"static"})
        if model.can("dynamic_prior"):
            possible[dynamic] = frozenset({"dynamic"})
    if model.can("dynamic_prior") and model.can("static_prior") and model.can("decoded_static"):
        possible["both"] = frozenset({"static", "dynamic"})
    return possible


def limits(session: Session) -> list[str]:
    """What the method cannot do, a sentence each."""
    shown: tuple[Capability, ...] = ("encode", "static_prior", "dynamic_prior", "decoded_static")
    return [f"{session.model.card.name} {CANNOT[name]}." for name in shown if not session.model.can(name)]
