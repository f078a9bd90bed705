"""Cards: what a model or a data set is, where it comes from, and what it can do."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from unbraid.kinds import Kind

__all__ = ["CAPABILITIES", "Capability", "DataCard", "ModelCard"]

Capability = Literal[
    "encode",  # x -> codes
    "decode",  # codes -> x
    "static_prior",  # new static codes are drawn; otherwise those of other sequences are dealt out
    "dynamic_prior",  # new dynamic codes are drawn
    "likelihood",  # the decoder's and the posteriors' densities are known, so there is a bound (ELBO)
    "decoded_static",  # the decoder reads the static code; otherwise it is computed from the dynamic one
    "export",  # encoder and decoder are graphs with free numbers of sequences and steps (ONNX, torch.export)
    "adversary",  # parts are trained against each other, in phases of their own
]
"""What a method can do. Whoever needs something asks `SequenceModel.require`, which refuses with one clear error."""

CAPABILITIES: tuple[Capability, ...] = get_args(Capability)


@dataclass(frozen=True)
class ModelCard:
    """What a method is, where it was published, what it can do and how it differs from the authors' code.

    Attributes:
        name: the registered name.
        title, authors, year, venue, url: of the publication.
        summary: one line.
        capabilities: see `Capability`.
        deviations: where ours differs from the paper or from the authors' code.
        variants: settings, beside the defaults, that the contract test builds the model with.
        kinds: the kinds of observation that it runs on.
        symbols: `(symbol in the paper, name in the code, meaning)`, for the method's page.
    """

    name: str
    title: str
    authors: str
    year: int
    venue: str
    url: str
    summary: str
    capabilities: frozenset[Capability]
    deviations: tuple[str, ...] = ()
    variants: tuple[dict[str, Any], ...] = ()
    kinds: tuple[Kind, ...] = ("frames", "vectors", "windows", "sound")
    symbols: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class DataCard:
    """What a data set is, where it comes from, under which licence, how to get it and what is scored on it.

    Attributes:
        name: the registered name.
        summary: one line.
        source: who made it and where it is published.
        licence: of the data.
        obtain: how to get it.
        shape: steps and observation `(T, *X)` of one sequence in the published form; speed is measured on made-up data of
            this shape.
        kind: of the observations.
        protocols: names of protocols, in the order in which they are run and shown.
        choices: how we decided what the literature leaves open.
    """

    name: str
    summary: str
    source: str
    licence: str
    obtain: str
    shape: tuple[int, ...]
    kind: Kind
    protocols: tuple[str, ...] = ("generation",)
    choices: tuple[str, ...] = ()
