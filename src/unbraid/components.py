"""Components of static codes: the single attributes of what stays (hair, shirt), found without labels. Ours, for every method.

    codes = unbraid.encode(model, data.split("train"))
    components = unbraid.find_components(codes.static)
    u = components.of(codes.static)                        # (N, P): independent, each of variance 1
    made = components.exchange(codes, others, (2, 8))      # two components from other sequences, all else kept

A single coordinate of a static code usually mixes several attributes. But attributes are often independent of each other over
the sequences (any hat with any shirt). Where the code is a sum of their contributions, independent component analysis
separates them: each attribute then has a few components of its own. Principal components with little variance are left out.
`unbraid evaluate --protocols factors` says how well that works.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unbraid.data.sequences import Sequences
from unbraid.data.store import cache_folder
from unbraid.files import replacing
from unbraid.generation import encode
from unbraid.models.base import SequenceModel
from unbraid.nn.independent import unmixing
from unbraid.types import Codes

__all__ = ["StaticComponents", "components_key", "find_components", "train_components"]

SMALLEST_SHARE = 1e-3  # of the variance, below which a principal component is left out
VERSION = 1  # raise when components are found in another way, so that cached ones are not used
TRAIN_SEQUENCES = 4000  # of the train split, on which components are found
FEWEST_SEQUENCES = 100  # fewer show no components


@dataclass(frozen=True)
class StaticComponents:
    """Independent components of static codes, those that change the codes most first.

    Attributes:
        mean: of the static codes.
        unmix: maps a centred static code to its components.
        mix: what a component of size 1 adds to the static code.
    """

    mean: Float[Tensor, " S"]
    unmix: Float[Tensor, "S P"]
    mix: Float[Tensor, "P S"]

    def __len__(self) -> int:
        return len(self.mix)

    def of(self, static: Float[Tensor, "n S"]) -> Float[Tensor, "n P"]:
        """The components of static codes."""
        return ((static.double().cpu() - self.mean) @ self.unmix).to(static)

    def put(
        self, static: Float[Tensor, "n S"], component: int, value: float | Float[Tensor, " n"]
    ) -> Float[Tensor, "n S"]:
        """The static codes with one component set to a value; all other components are kept.

        Raises:
            ValueError: there is no such component.
        """
        self._check((component,))
        change = (
            torch.as_tensor(value, dtype=torch.float64).cpu() - self.of(static)[:, component].double().cpu()
        )
        return static + (change[:, None] * self.mix[component]).to(static)

    def exchange(self, codes: Codes, other: Codes, components: tuple[int, ...]) -> Codes:
        """The codes with some components of their static code taken from `other`; all else is kept.

        Args:
            codes: of n sequences.
            other: of n sequences.
            components: numbers from 0.

        Raises:
            ValueError: the two have different numbers of sequences, or there is no such component.
        """
        if len(codes) != len(other):
            raise ValueError(f"other: has {len(other)} sequences; these codes have {len(codes)}")
        self._check(components)
        chosen = sorted(set(components))
        difference = self.of(other.static).to(codes.static) - self.of(codes.static)
        change = difference[:, chosen].double().cpu() @ self.mix[chosen]
        return replace(codes, static=codes.static + change.to(codes.static))

    def _check(self, components: tuple[int, ...]) -> None:
        if missing := [number for number in components if not 0 <= number < len(self)]:
            raise ValueError(
                f"components: there is no component {missing[0]}; choose from 0 to {len(self) - 1}"
            )


def find_components(
    static: Float[Tensor, "n S"] | Float[np.ndarray, "n S"], share: float = SMALLEST_SHARE
) -> StaticComponents:
    """Find the independent components of static codes.

    Args:
        static: codes of many sequences, best of the train split: some hundreds at least. A tensor or a NumPy array.
        share: of the variance; principal components with less are left out, as noise.

    Raises:
        ValueError: codes that do not vary, or are not finite; a share that is not between 0 and 1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share: {share} must be at least 0 and below 1")
    static = torch.as_tensor(static)
    if not static.is_floating_point():
        static = static.double()
    values = static.detach().double().cpu()
    if not values.isfinite().all():
        raise ValueError("static: some codes are not finite")
    mean = values.mean(0)
    if not _vary(static):
        raise ValueError(
            f"static: {len(values)} codes that do not vary have no components; give codes of several sequences"
        )
    _, deviations, directions = torch.linalg.svd(values - mean, full_matrices=False)
    variances = deviations.square()
    count = int((variances > max(share, torch.finfo(static.dtype).eps) * variances.sum()).sum())
    axes = directions[:count].T
    unmix = unmixing(values @ axes)
    unmix = unmix[:, torch.linalg.inv(unmix).square().sum(1).argsort(descending=True, stable=True)]
    return StaticComponents(mean, axes @ unmix, torch.linalg.inv(unmix) @ axes.T)


def _vary(static: Float[Tensor, "n S"]) -> bool:
    """Whether codes differ from each other by more than rounding."""
    values = static.detach().double().cpu()
    variances = (values - values.mean(0)).square().sum()
    return len(values) > 1 and bool(variances > torch.finfo(static.dtype).eps * values.square().sum())


def train_components(
    model: SequenceModel, data: Sequences, cache: str | Path | None = None
) -> StaticComponents | None:
    """The independent components of the static codes of the train split.

    They are found once for a model and its data and kept in the cache: rounding may change their order, and reports,
    scores and commands name them by their numbers.

    Args:
        model: that encodes.
        data: its data set. Where it has no train split, all sequences are used.
        cache: folder that keeps the components (in `components/`); None for the library's own.

    Returns:
        None where there are too few sequences, or their codes do not vary.

    Raises:
        ValueError: the method has no encoder, or some codes are not finite.
    """
    rows = data.splits.get("train", np.arange(len(data)))
    if len(rows) < FEWEST_SEQUENCES:
        return None
    path = cache_folder(cache) / "components" / f"{components_key(model, data)}.safetensors"
    if path.exists():
        try:
            return StaticComponents(**load_file(path))
        except (SafetensorError, TypeError):
            pass  # damaged: find them again
    rows = rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:TRAIN_SEQUENCES])]
    static = encode(model, data.take(rows)).static
    if static.isfinite().all() and not _vary(static):
        return None
    found = find_components(static)
    with replacing(path) as temporary:
        save_file({name: getattr(found, name).contiguous() for name in ("mean", "unmix", "mix")}, temporary)
    return found


def components_key(model: SequenceModel, data: Sequences) -> str:
    """A hash of the model, of the data and of how components are found: numbers of components go with it."""
    identity = [VERSION, data.fingerprint, type(model).__qualname__, sorted(model.settings.items())]
    digest = hashlib.sha256(repr(identity).encode())
    for name, weight in model.state_dict().items():
        numbers = weight.detach().cpu().reshape(-1).contiguous().view(torch.uint8)
        digest.update(name.encode() + numbers.numpy().tobytes())
    return digest.hexdigest()[:16]
