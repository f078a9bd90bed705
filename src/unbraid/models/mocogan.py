"""MoCoGAN: a generator of clips from a drawn content code and a recurrent motion code, trained against two critics.

When to use it: as the baseline of generation. It has no encoder, so it describes no given sequence: there are no swaps
between recordings, no leakage, no verification; `self_agreement` scores it on its own clips. What differs from
step to step, such as a place, has to be in d; nothing keeps what is constant over a clip out of s. In trainings as short as
our recipes, the kind of motion is in s as well: on puppets and Sprites clips with the same s and another d mostly show the
same motion.

Tulyakov, Liu, Yang, Kautz. "MoCoGAN: Decomposing Motion and Content for Video Generation." CVPR 2018.
https://arxiv.org/abs/1707.04993

    s ~ N(0, I)                                       the paper's z_C, once per clip
    d_t = GRU(e_t, d_{t-1}),  e_t, d_0 ~ N(0, I)      the paper's z_M
    x~_t = G(s, d_t)
    step critic:  min  E softplus(-D_I(x_t)) + E softplus(D_I(x~_t))         one random step of each clip
    clip critic:  min  E softplus(-D_V(x)) + E softplus(D_V(x~))
    generator:    min  E softplus(-D_I(x~_t)) + E softplus(-D_V(x~))

softplus(-D) and softplus(D) are the binary cross-entropies of the logits D for real and made. The three are phases, in this
order, each with its own optimiser and with clips drawn anew. d is not Gaussian and p(d_t | d_{t-1}) has no density: `prior`
gives the step that follows without noise.

Differs from the authors' code: the clip critic keeps the number of steps (kernels of 3 steps, padded by one), so that clips
of any length of at least 3 can be trained on (theirs of exactly 16); frames are in [0, 1]; made steps of the step critic
are one of each clip; masked values are zero in real and in made clips alike; no weight decay; no categories, which the
authors' code learns from labels, not without.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from unbraid.cards import ModelCard
from unbraid.masks import (
    inside,
    inside_steps,
    mean_over_steps,
    observed_steps,
    observed_values,
    take_step,
    zero_unobserved,
)
from unbraid.models.base import Phase, SequenceModel
from unbraid.nn.codecs import build_decoder, decode_steps
from unbraid.nn.critics import TEMPORAL_KERNEL, ClipCritic, StepCritic
from unbraid.nn.distributions import Point
from unbraid.types import Batch, Codes, Terms, standard_normal, uniform

__all__ = ["MoCoGAN"]


class MoCoGAN(SequenceModel):
    """Motion and content decomposed generative adversarial network (Tulyakov et al., CVPR 2018).

    Args:
        observation: shape `*X` of one observation: `(C, H, H)` frames or `(F,)` vectors.
        static_size: size S of the content code.
        dynamic_size: size D of the motion code, and of its recurrent net.
        width: channels of the generator's last and of the critics' first convolution, or units of their layers for vectors.
        noise: deviation of the noise that is added before each layer of the critics while training; 0 in the authors'
            default. Noise keeps the critics from winning too early.

    Raises:
        ValueError: a negative noise, windows, or frames without a codec.
    """

    card = ModelCard(
        name="mocogan",
        title="MoCoGAN: Decomposing Motion and Content for Video Generation",
        authors="Tulyakov, Liu, Yang, Kautz",
        year=2018,
        venue="CVPR",
        url="https://arxiv.org/abs/1707.04993",
        summary="generator of clips with drawn content and recurrent motion, trained against critics; no encoder",
        capabilities=frozenset({"decode", "static_prior", "dynamic_prior", "decoded_static", "adversary"}),
        deviations=(
            "no encoder, so scores are self-agreement: the judge compares two made clips, not a made and a real one",
            "the clip critic's kernels span 3 steps and keep the clip's length (authors' code: 4, clips of exactly 16)",
            "the step critic's made steps are one of each drawn clip",
            "noise before the critics' layers is on by default; no weight decay",
            "no categorical code: in the authors' code its head learns from labels only",
            "generator as this package's decoder; vectors are ours",
        ),
        variants=({"noise": 0.0},),
        kinds=("frames", "vectors", "sound"),
        symbols=(
            ("z_C", "static", "content code of the clip (our s)"),
            ("z_M^(t)", "dynamic[:, t]", "motion code of step t (our d_t)"),
            ("R_M", "motion", "recurrent net of the motion code"),
            ("G_I", "generator", "codes of a step to an observation"),
            ("D_I", "step_critic", "critic of single steps"),
            ("D_V", "clip_critic", "critic of clips"),
        ),
    )
    phases = (
        Phase("step_critic", ("step_critic",), beta1=0.5),
        Phase("clip_critic", ("clip_critic",), beta1=0.5),
        Phase("generator", ("generator", "motion"), beta1=0.5),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 50,
        dynamic_size: int = 10,
        width: int = 64,
        noise: float = 0.1,
    ) -> None:
        super().__init__(locals())
        if noise < 0:
            raise ValueError(f"model.noise: {noise} must not be negative")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.step_critic = StepCritic(observation, width, noise)
        self.clip_critic = ClipCritic(observation, width, noise)
        self.motion = nn.GRU(dynamic_size, dynamic_size, batch_first=True)
        self.generator = build_decoder(observation, static_size + dynamic_size, width)

    def check_batches(self, sequences: int, steps: int) -> None:
        """Refuse clips shorter than the clip critic's kernel.

        Raises:
            ValueError: the clips are too short.
        """
        if steps < TEMPORAL_KERNEL:
            raise ValueError(
                f"data: sequences have {steps} steps; mocogan's critic of clips compares {TEMPORAL_KERNEL} at a time, so "
                f"give at least {TEMPORAL_KERNEL}"
            )

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Point:
        """The next step along a path if its noise were zero; the first starts from zeros."""
        before = torch.cat([torch.zeros_like(dynamic[:, :1]), dynamic[:, :-1]], 1).flatten(0, 1)
        following, _ = self.motion(torch.zeros_like(before).unsqueeze(1), before.unsqueeze(0))
        return Point(following.view_as(dynamic))

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw motion paths: new noise at every step and a new start."""
        like = next(self.motion.parameters())
        noise = standard_normal((n, length + 1, self.dynamic_size), like, generator)
        return self.motion(noise[:, 1:].contiguous(), noise[:, :1].transpose(0, 1).contiguous())[0]

    def decode(
        self,
        codes: Codes,
        mask: Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Point:
        """The clip that the generator makes of the codes."""
        return Point(decode_steps(self.generator, codes.each_step(), mask).mean)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """The critic's loss in its phase, both losses of the generator in its own; `(B,)` each."""
        if phase == "generator":
            clips = self._made(batch, generator)
            steps = _one_step(clips, batch, generator)
            return {
                "fool_step_critic": self._judge_steps(steps, True, generator),
                "fool_clip_critic": self._judge_clips(clips, True, batch, generator),
            }
        with torch.no_grad():
            clips = self._made(batch, generator)
        real = zero_unobserved(batch.x, batch.mask)
        if phase == "clip_critic":
            right = self._judge_clips(real, True, batch, generator)
            return {"clip_critic": right + self._judge_clips(clips, False, batch, generator)}
        right = self._judge_steps(_one_step(real, batch, generator), True, generator)
        wrong = self._judge_steps(_one_step(clips, batch, generator), False, generator)
        return {"step_critic": right + wrong}

    def _made(self, batch: Batch, generator: torch.Generator | None) -> Float[Tensor, "B T *X"]:
        """Drawn clips, with zeros where the batch's are not observed."""
        steps = inside(batch.mask)
        codes = self.draw(len(batch), batch.x.shape[1], generator)
        return zero_unobserved(self.decode(codes, steps).mean, batch.mask)

    def _judge_steps(self, x: Tensor, as_real: bool, generator: torch.Generator | None) -> Float[Tensor, "B"]:
        """Cross-entropy of the step critic's logits with real or made, a mean over its patches."""
        logits = self.step_critic(x, generator)
        return softplus(-logits if as_real else logits).mean(1)

    def _judge_clips(
        self, x: Tensor, as_real: bool, batch: Batch, generator: torch.Generator | None
    ) -> Float[Tensor, "B"]:
        """Cross-entropy of the clip critic's logits with real or made, a mean over the steps of each clip."""
        logits = self.clip_critic(x, generator)
        losses = softplus(-logits if as_real else logits).unsqueeze(2)
        return mean_over_steps(losses, inside_steps(x, batch.mask)).squeeze(1)


def _one_step(
    x: Float[Tensor, "B T *X"], batch: Batch, generator: torch.Generator | None
) -> Float[Tensor, "B *X"]:
    """A random observed step of each clip."""
    observed = observed_steps(observed_values(x, batch.mask))
    share = uniform((len(x),), x, generator)
    place = (share * observed.sum(1)).long()
    return take_step(x, (observed & (observed.cumsum(1) == place.unsqueeze(1) + 1)).long().argmax(1))
