"""S3VAE: a sequential VAE whose codes are separated by signals that need no labels.

When to use it: where a signal of motion can be computed from the data (the part of a frame that moves, the volume of
sound), because the dynamic code is trained to predict it. A training step costs little more than one of DBSE.

Zhu, Min, Kadav, Graf. "S3VAE: Self-Supervised Sequential VAE for Representation Disentanglement and Data Generation."
CVPR 2020. https://arxiv.org/abs/2005.11437

With features g_t of each step on its own:

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)                          the model of DSVAE
    q(s | x_{1:T})       the last output of an LSTM over g
    q(d_t | x_<=t)       a second LSTM over g; on request q(d_t | s, x_<=t), over (g_t, s)
    loss = SSE + KL_s + KL_d + lambda_1 L_SCC + lambda_2 L_DFP + lambda_3 I(s; d)
    L_SCC = max(0, |s - s+| - |s - s-| + 1)
    L_DFP = error of a motion signal y_t that is predicted from d_t

s, s+ and s- in L_SCC are means of q(s): of the sequence, of the same steps in random order, and of another sequence of the
batch. I(s; d) is estimated by minibatch weighted sampling.

There is no code of the authors, and not all settings of the paper are known to us; the card lists what is ours. The paper
takes y_t from tools (optical flow, landmarks of faces, the volume), ours is computed from the data alone, see
`unbraid.objectives.motion`; a signal of your own is added to `SIGNALS` there. In two reimplementations, the steps of s+ are not
in random order, the density of I(s; d) is wrong, and the posterior gets no gradient from the prior's inputs; none of this is
reproduced.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside, last_step
from unbraid.models.sequential_vae import SequentialVAE
from unbraid.nn.codecs import build_decoder, build_encoder, encode_steps, encode_view
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM
from unbraid.objectives.information import PairEstimate, sampled_terms
from unbraid.objectives.motion import choose_signal, motion_error
from unbraid.processes import gather
from unbraid.types import Batch, Codes, Posterior, Terms, draw

__all__ = ["S3VAE"]


class S3VAE(SequentialVAE):
    """Self-supervised sequential VAE (Zhu, Min, Kadav and Graf, CVPR 2020).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of the LSTMs.
        dynamic_posterior: "causal" (given the steps until t) or "given_static" (given s as well, as in DSVAE): then d need not
            repeat what s tells.
        motion: the signal that is predicted from the dynamic code: a name in `unbraid.objectives.motion.SIGNALS` ("grid",
            "energy", "change"), "auto" (by the kind of observation) or "none".
        margin: of the triplets of static codes.
        pair_estimate: how I(s; d) is estimated: "per_step", "trajectory" or "none"; see `unbraid.models.c_dsvae`.
        decoder_width: width of the decoder; None for `width`. A wider one draws sharper frames, and trains for longer.
        edges: of frames, share of the reconstruction error that counts differences between neighbouring pixels (ours), for
            sharp edges; see `unbraid.nn.likelihoods.reconstruction_error`.

    Raises:
        ValueError: a signal that these observations do not have, a margin that is not above 0, or observations without a
            codec.
    """

    card = ModelCard(
        name="s3vae",
        title="S3VAE: Self-Supervised Sequential VAE for Representation Disentanglement and Data Generation",
        authors="Zhu, Min, Kadav, Graf",
        year=2020,
        venue="CVPR",
        url="https://arxiv.org/abs/2005.11437",
        summary="static code the same for shuffled steps, dynamic code trained to predict a motion signal",
        capabilities=frozenset(
            {"encode", "decode", "export", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=(
            "the motion signals are ours and need no tool (the paper: optical flow, landmarks of faces, volume): the most "
            "changed cell of a 3x3 grid, loudness above the median, the change of each feature",
            "a step's signal is its change since the step before, which its posterior has seen",
            "encoder and decoder are shared with the other methods; hidden sizes and codes are those of C-DSVAE, which "
            "says that its networks are S3VAE's",
            "the signal is predicted by one linear layer (reimplementations: several without activation, which is the same)",
            "I(s; d) is averaged over the steps (the paper: summed); the weights of the terms are ours",
            'the posterior of d given s as well (`dynamic_posterior="given_static"`) is ours, after DSVAE',
            "the other sequence of a triplet is the batch's, moved by a random number of places",
            "ours: on request a decoder wider than the encoder (`decoder_width`), and an error of edges (`edges`)",
        ),
        variants=(
            {"dynamic_posterior": "given_static"},
            {"motion": "none"},
            {"margin": 0.5, "pair_estimate": "trajectory", "decoder_width": 6},
            {"pair_estimate": "none"},
        ),
        symbols=(
            ("z_f", "static", "static code of the sequence (the paper's z_f, our s)"),
            ("z_t", "dynamic[:, t]", "dynamic code of step t (the paper's z_t, our d_t)"),
            ("m", "margin", "margin of the triplets"),
            ("lambda_1", "training.weights.static_consistency", "weight of L_SCC"),
            ("lambda_2", "training.weights.motion", "weight of L_DFP"),
            ("lambda_3", "training.weights.mi_static_dynamic", "weight of I(s; d)"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 256,
        dynamic_size: int = 32,
        features: int = 128,
        width: int = 64,
        hidden: int = 256,
        dynamic_posterior: Literal["causal", "given_static"] = "causal",
        motion: str = "auto",
        margin: float = 1.0,
        pair_estimate: PairEstimate = "per_step",
        decoder_width: int | None = None,
        edges: float = 0.0,
    ) -> None:
        super().__init__(locals())
        if margin <= 0:
            raise ValueError(f"model.margin: {margin} must be above 0")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.margin, self.pair_estimate = margin, pair_estimate
        self.views = {"static": "shuffle"}
        self.encoder = build_encoder(observation, features, width)
        self.static_path = MaskedLSTM(features, hidden)
        self.static_head = GaussianHead(hidden, static_size)
        self.given_static = dynamic_posterior == "given_static"
        self.dynamic_path = MaskedLSTM(features + static_size * self.given_static, hidden)
        self.dynamic_head = GaussianHead(hidden, dynamic_size)
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        self.decoder = build_decoder(
            observation, static_size + dynamic_size, width, decoder_width, edges=edges
        )
        self.signal = None if motion == "none" else choose_signal(motion, self.observation)
        if self.signal is not None:
            self.motion_head = nn.Linear(dynamic_size, self.signal.outputs(self.observation))

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x), and q(d_t | x_<=t) or q(d_t | s, x_<=t)."""
        g, steps = encode_steps(self.encoder, x, mask), inside(mask)
        static = self._static(g, steps)
        dynamic = self._dynamic(g, steps, static.mean)
        return Posterior(
            static, dynamic, (lambda s: self._dynamic(g, steps, s)) if self.given_static else None
        )

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Squared error, the two KLs, L_SCC and L_DFP, `(B,)` each, and I(s; d), 0-dim.

        Raises:
            ValueError: the batch lacks the view with shuffled steps, or the size of the data set.
        """
        g = encode_steps(self.encoder, batch.x, batch.mask)
        steps = inside(batch.mask)
        static = self._static(g, steps)
        s = draw(static, generator)
        posterior = Posterior(static, self._dynamic(g, steps, s))
        codes = Codes(s, draw(posterior.dynamic, generator))
        view = batch.view("static")
        shuffled_steps = inside(view.mask)
        shuffled = self._static(encode_view(self.encoder, view, g), shuffled_steps).mean
        terms = {
            "reconstruction": self.step_errors(batch, codes, steps).sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
            "static_consistency": self._triplets(posterior.static.mean, shuffled, generator),
        }
        if self.signal is not None:
            terms["motion"] = motion_error(self.signal, self.motion_head(codes.dynamic), batch.x, batch.mask)
        if self.pair_estimate != "none":
            size = batch.require_dataset_size()
            terms |= sampled_terms(codes, posterior, size, steps, pair=self.pair_estimate)
        return terms

    def _triplets(
        self, s: Float[Tensor, "B S"], same: Float[Tensor, "B S"], generator: torch.Generator | None
    ) -> Float[Tensor, "M"]:
        """L_SCC of each sequence of all processes; 0 in a batch of one, which has no other sequence."""
        s, same = gather(s), gather(same)
        if len(s) == 1:
            return torch.zeros_like(s[:, 0])
        device = None if generator is None else generator.device
        places = torch.randint(1, len(s), (), generator=generator, device=device)
        other = s[(torch.arange(len(s), device=s.device) + places.to(s.device)) % len(s)]
        near, far = (torch.linalg.vector_norm(s - code, dim=1) for code in (same, other))
        return torch.relu(near - far + self.margin)

    def _dynamic(self, g: Tensor, steps: Tensor | None, s: Float[Tensor, "B S"]) -> Normal:
        if self.given_static:
            g = torch.cat([g, s.unsqueeze(1).expand(-1, g.shape[1], -1)], 2)
        return self.dynamic_head(self.dynamic_path(g, steps))

    def _static(self, g: Tensor, steps: Tensor | None) -> Normal:
        h = self.static_path(g, steps)
        return self.static_head(last_step(h, steps))
