"""Mutual information of the codes with each other and with the sequences, estimated by sampling a batch.

C-DSVAE (Bai, Wang, Gomes, NeurIPS 2021, https://arxiv.org/abs/2110.12091), appendix A.3, eq. (13). With the posteriors q(z | x_j) of a batch of M of the N sequences, the aggregated
posterior q(z) = 1/N sum_n q(z | x_n) at a draw z_i is estimated as

    q(z_i) ~ sum_j w_ij q(z_i | x_j)                `weighted`: w_ij = 1 / (N M), the paper's
                                                    `stratified`: w_ii = 1 / N, w_ij = (N - 1) / (N (M - 1))

and from it H(s), H(d), H(s, d), I(s; d) = H(s) + H(d) - H(s, d), I(s; x) = E[log q(s | x) - log q(s)] and I(d; x).
`stratified` is unbiased for q(z), and its mutual information is at most log N, the most that N sequences can carry.
`weighted` gives the mutual information plus log N while the posteriors overlap, and reaches log(N M), where its gradient
vanishes, when they do not. Use it for training and for the shape of a curve, not for its height.

Densities are computed in double precision even under autocast: their matrix form takes differences of large numbers. They
read standard deviations (the authors' code passes log variances to a density that expects log standard deviations).

Sequences of different lengths: a path d_1..T_i is compared with the M_i of M sequences that are at least as long, which
represent N M_i / M sequences of the data set; a single step is compared with the sequences that have that step.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.nn.functional import relu

from unbraid.objectives.contrast import Compare, pool
from unbraid.types import Codes, Posterior, Terms

__all__ = [
    "Entropies",
    "Estimate",
    "PairEstimate",
    "dynamic_input_information",
    "dynamic_input_information_per_step",
    "entropies",
    "pairwise_log_density",
    "sampled_terms",
    "static_dynamic_information",
    "static_dynamic_information_per_step",
    "static_input_information",
    "stratified",
    "weighted",
]

Sampling = Callable[[Bool[Tensor, "*K B B"], int], Float[Tensor, "*K B B"]]
"""Log weights of the sequences j in the aggregated posterior at a draw of sequence i, of those that compare."""


Estimate = Literal["contrastive", "mws", "none"]
"""How the information between a code and the sequence is estimated: by contrast of views, by minibatch sampling, or not at all."""

PairEstimate = Literal["per_step", "trajectory", "none"]
"""How I(s; d) is estimated: for single steps, for whole paths, or not at all."""


class Entropies(NamedTuple):
    """Entropies of the aggregated posterior, in nats, 0-dim."""

    static: Tensor
    dynamic: Tensor
    joint: Tensor


# ---- sampling ---------------------------------------------------------------------------------------------


def weighted(comparable: Bool[Tensor, "*K B B"], dataset_size: int) -> Float[Tensor, "*K B B"]:
    """Minibatch weighted sampling, the paper's: log w_ij = -log(N M)."""
    count, total = _sizes(comparable, dataset_size)
    return torch.where(comparable, -(total * count).log(), -torch.inf)


def stratified(comparable: Bool[Tensor, "*K B B"], dataset_size: int) -> Float[Tensor, "*K B B"]:
    """Minibatch stratified sampling: log w_ii = -log N, and the others share the rest evenly.

    Chen et al., "Isolating Sources of Disentanglement in VAEs", NeurIPS 2018, https://arxiv.org/abs/1802.04942,
    appendix C.2, in its plainest form.
    """
    count, total = _sizes(comparable, dataset_size)
    others = ((total - 1) / (total * (count - 1).clamp_min(1))).log()
    own = torch.eye(comparable.shape[-1], dtype=torch.bool, device=comparable.device)
    return torch.where(own, -total.log(), torch.where(comparable, others, -torch.inf))


def _sizes(comparable: Tensor, dataset_size: int) -> tuple[Tensor, Tensor]:
    """How many sequences of the batch, and of the data set, a draw is compared with; `(*K, B, 1)` each."""
    if dataset_size < 1:
        raise ValueError(f"dataset_size: {dataset_size} must be at least 1, the number of training sequences")
    count = comparable.sum(-1, keepdim=True).double()
    return count, dataset_size * count / comparable.shape[-1]


def pairwise_log_density(z: Float[Tensor, "*K B F"], q: Distribution) -> Float[Tensor, "*K B M"]:
    """Log q_j(z_i) of every draw under every diagonal normal, summed over F; float64.

    Args:
        z: B draws.
        q: M diagonal normals over `(*K, M, F)`.
    """
    with torch.autocast(z.device.type, enabled=False):
        z, mean, std = z.double(), q.mean.double(), q.stddev.double()
        precision = std.pow(-2)
        square = z.square() @ precision.mT - 2 * z @ (mean * precision).mT
        square = square + (mean.square() * precision).sum(-1).unsqueeze(-2)
        scale = std.log().sum(-1).unsqueeze(-2) + 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return -0.5 * square - scale


def _log_aggregated(
    pairs: Float[Tensor, "*K B B"], comparable: Bool[Tensor, "*K B B"], dataset_size: int, sampling: Sampling
) -> Float[Tensor, "*K B"]:
    """Log q(z_i) of the aggregated posterior."""
    return torch.logsumexp(pairs + sampling(comparable, dataset_size), -1)


def _step_pairs(codes: Codes, posterior: Posterior) -> Float[Tensor, "T B B"]:
    """Log q(d_t^i | x_j) of every step."""
    moments = torch.stack([posterior.dynamic.mean, posterior.dynamic.stddev]).transpose(1, 2)
    normal = torch.distributions.Normal(moments[0], moments[1], validate_args=False)
    return pairwise_log_density(codes.dynamic.transpose(0, 1), normal)


def _paths(
    codes: Codes, posterior: Posterior, steps: Bool[Tensor, "B T"] | None
) -> tuple[Float[Tensor, "B B"], Bool[Tensor, "B B"]]:
    """Log q(d_{1:T_i}^i | x_j), and which sequences are long enough to be asked."""
    pairs = _step_pairs(codes, posterior)
    if steps is None:
        return pairs.sum(0), pairs.new_ones(pairs.shape[1:], dtype=torch.bool)
    length = steps.sum(1)
    comparable = length.unsqueeze(1) <= length
    return torch.where(steps.T.unsqueeze(2), pairs, 0.0).sum(0), comparable


def _single_steps(
    codes: Codes, posterior: Posterior, steps: Bool[Tensor, "B T"] | None
) -> tuple[Float[Tensor, "T B B"], Bool[Tensor, "T B B"]]:
    """Log q(d_t^i | x_j), and which sequences have step t. A step is always compared with its own sequence."""
    pairs = _step_pairs(codes, posterior)
    if steps is None:
        return pairs, torch.ones_like(pairs, dtype=torch.bool)
    own = torch.eye(len(steps), dtype=torch.bool, device=steps.device)
    return pairs, steps.T.unsqueeze(1) | own


def _mean_over_steps(value: Float[Tensor, "T B"], steps: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B"]:
    if steps is None:
        return value.mean(0)
    return torch.where(steps.T, value, 0.0).sum(0) / steps.sum(1)


def _all_comparable(codes: Codes) -> Bool[Tensor, "B B"]:
    return torch.ones(len(codes), len(codes), dtype=torch.bool, device=codes.static.device)


def entropies(
    codes: Codes,
    posterior: Posterior,
    dataset_size: int,
    steps: Bool[Tensor, "B T"] | None = None,
    sampling: Sampling = weighted,
) -> Entropies:
    """H(s), H(d_{1:T}) and H(s, d_{1:T}) of the aggregated posterior, in nats.

    Args:
        codes: one draw of each sequence of the batch from its posterior.
        posterior: of the same sequences, diagonal normals.
        dataset_size: N, the sequences of the data set that the batch is drawn from.
        steps: `(B, T)`, True inside a sequence; None when all have T steps.
        sampling: `weighted` or `stratified`.
    """
    static = pairwise_log_density(codes.static, posterior.static)
    path, comparable = _paths(codes, posterior, steps)
    densities = [
        _log_aggregated(pairs, comparable, dataset_size, sampling) for pairs in (static, path, static + path)
    ]
    return Entropies(*(-density.mean() for density in densities))


def static_dynamic_information(
    codes: Codes,
    posterior: Posterior,
    dataset_size: int,
    steps: Bool[Tensor, "B T"] | None = None,
    sampling: Sampling = weighted,
) -> Float[Tensor, "B"]:
    """I(s; d_{1:T}) = E[log q(s, d) - log q(s) - log q(d)] of whole paths, the paper's form; arguments as `entropies`.

    Returns:
        The term of each sequence; the estimate is their mean.
    """
    static = pairwise_log_density(codes.static, posterior.static)
    path, comparable = _paths(codes, posterior, steps)
    joint, alone, moving = (
        _log_aggregated(pairs, comparable, dataset_size, sampling) for pairs in (static + path, static, path)
    )
    return joint - alone - moving


def static_dynamic_information_per_step(
    codes: Codes,
    posterior: Posterior,
    dataset_size: int,
    steps: Bool[Tensor, "B T"] | None = None,
    sampling: Sampling = weighted,
) -> Float[Tensor, "B"]:
    """I(s; d_t), no value below zero, averaged over the steps: the form of the authors' code.

    A single step's posteriors overlap where those of whole paths no longer do, so its gradient lasts longer.
    Arguments and result as for `static_dynamic_information`.
    """
    static = pairwise_log_density(codes.static, posterior.static)
    step, comparable = _single_steps(codes, posterior, steps)
    joint, alone, moving = (
        _log_aggregated(pairs, comparable, dataset_size, sampling)
        for pairs in (static + step, static.expand_as(step), step)
    )
    return _mean_over_steps(relu(joint - alone - moving), steps)


def static_input_information(
    codes: Codes, posterior: Posterior, dataset_size: int, sampling: Sampling = weighted
) -> Float[Tensor, "B"]:
    """I(s; x_{1:T}) = E[log q(s | x) - log q(s)]; arguments and result as for `static_dynamic_information`."""
    pairs = pairwise_log_density(codes.static, posterior.static)
    return pairs.diagonal() - _log_aggregated(pairs, _all_comparable(codes), dataset_size, sampling)


def dynamic_input_information(
    codes: Codes,
    posterior: Posterior,
    dataset_size: int,
    steps: Bool[Tensor, "B T"] | None = None,
    sampling: Sampling = weighted,
) -> Float[Tensor, "B"]:
    """I(d_{1:T}; x_{1:T}) of whole paths; arguments and result as for `static_dynamic_information`."""
    pairs, comparable = _paths(codes, posterior, steps)
    return pairs.diagonal() - _log_aggregated(pairs, comparable, dataset_size, sampling)


def dynamic_input_information_per_step(
    codes: Codes,
    posterior: Posterior,
    dataset_size: int,
    steps: Bool[Tensor, "B T"] | None = None,
    sampling: Sampling = weighted,
) -> Float[Tensor, "B"]:
    """I(d_t; x_{1:T}) averaged over the steps; arguments and result as for `static_dynamic_information`."""
    pairs, comparable = _single_steps(codes, posterior, steps)
    value = pairs.diagonal(dim1=-2, dim2=-1) - _log_aggregated(pairs, comparable, dataset_size, sampling)
    return _mean_over_steps(value, steps)


def sampled_terms(
    codes: Codes,
    posterior: Posterior,
    dataset_size: int,
    steps: Bool[Tensor, "B T"] | None = None,
    estimates: frozenset[Literal["static", "dynamic"]] = frozenset(),
    pair: PairEstimate = "per_step",
    compare: Compare = "all_processes",
) -> Terms:
    """Terms of an objective by minibatch weighted sampling, 0-dim each.

    Args:
        codes: one draw of each sequence.
        posterior: of the same sequences, normals.
        dataset_size: number N of training sequences.
        steps: True inside a sequence.
        estimates: of "static", `mws_static` = log(N M) - I(s; x); of "dynamic", `mws_dynamic` = log(N M) - I(d; x), both
            of which fall as the information rises.
        pair: `mi_static_dynamic` = I(s; d) in this form, which I(d; x) then takes as well.
        compare: the sequences that are compared.
    """
    s, d = posterior.static, posterior.dynamic
    codes = Codes(pool(codes.static, compare), pool(codes.dynamic, compare))
    posterior = Posterior(
        Normal(pool(s.mean, compare), pool(s.stddev, compare), validate_args=False),
        Normal(pool(d.mean, compare), pool(d.stddev, compare), validate_args=False),
    )
    steps = None if steps is None else pool(steps, compare)
    whole_paths = pair == "trajectory"
    most = torch.tensor(float(dataset_size * len(codes)), device=codes.static.device).log()
    terms = {}
    if "static" in estimates:
        terms["mws_static"] = most - static_input_information(codes, posterior, dataset_size).mean()
    if "dynamic" in estimates:
        estimate = dynamic_input_information if whole_paths else dynamic_input_information_per_step
        terms["mws_dynamic"] = most - estimate(codes, posterior, dataset_size, steps).mean()
    if pair != "none":
        estimate = static_dynamic_information if whole_paths else static_dynamic_information_per_step
        terms["mi_static_dynamic"] = estimate(codes, posterior, dataset_size, steps).mean()
    return terms
