"""MoCoGAN against its equations, written out term by term, and the known defects of published code."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from unbraid.data.sequences import Sequences
from unbraid.masks import steps_below
from unbraid.models.build import build_model
from unbraid.nn.critics import ClipCritic, StepCritic
from unbraid.testing import tiny_batch
from unbraid.training import TrainingConfig, fit
from unbraid.training.phases import TrainingStep
from unbraid.types import Batch, Codes

SIZES = {"static_size": 3, "dynamic_size": 4, "width": 4}


def mocogan(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("mocogan", observation, **{**SIZES, **settings})


def drawn_by_hand(model, n, length, noise):
    """Clips from s ~ N(0, I) and the GRU's path, cell by cell with the gates written out."""
    static = torch.randn(n, 3, generator=noise)
    draws = torch.randn(n, length + 1, 4, generator=noise)
    net, d, frames = model.motion, draws[:, 0], []
    for t in range(length):
        from_noise = draws[:, t + 1] @ net.weight_ih_l0.T + net.bias_ih_l0
        from_state = d @ net.weight_hh_l0.T + net.bias_hh_l0
        reset, update = (torch.sigmoid((from_noise + from_state)[:, a : a + 4]) for a in (0, 4))
        candidate = torch.tanh(from_noise[:, 8:] + reset * from_state[:, 8:])
        d = (1 - update) * candidate + update * d
        frames.append(torch.cat([static, d], 1))
    latent = torch.stack(frames, 1)
    return model.generator(latent.flatten(0, 1)).unflatten(0, (n, length))


def steps_by_hand(x, noise):
    place = (torch.rand(len(x), generator=noise) * x.shape[1]).long()
    return torch.stack([clip[t] for clip, t in zip(x, place, strict=True)])


@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
@pytest.mark.parametrize("phase", ["step_critic", "clip_critic", "generator"])
def test_terms_equal_the_equations(observation, phase):
    x = tiny_batch(observation, 3, 5).x
    terms = mocogan(observation, noise=0.0).train().terms(Batch(x), torch.Generator().manual_seed(3), phase)
    model, noise = mocogan(observation, noise=0.0).train(), torch.Generator().manual_seed(3)
    made = drawn_by_hand(model, 3, 5, noise)

    def loss(logits, target):
        return cross_entropy(logits, torch.full_like(logits, target), reduction="none").mean(1)

    if phase == "step_critic":
        real_logits = model.step_critic(steps_by_hand(x, noise))
        made_logits = model.step_critic(steps_by_hand(made, noise))
        expected = {"step_critic": loss(real_logits, 1.0) + loss(made_logits, 0.0)}
    elif phase == "clip_critic":
        expected = {"clip_critic": loss(model.clip_critic(x), 1.0) + loss(model.clip_critic(made), 0.0)}
    else:
        expected = {
            "fool_step_critic": loss(model.step_critic(steps_by_hand(made, noise)), 1.0),
            "fool_clip_critic": loss(model.clip_critic(made), 1.0),
        }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)


def test_each_phase_changes_its_own_modules_only():
    model = mocogan().train()
    taking = TrainingStep(model, TrainingConfig(), 10, 50, torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.named_parameters()}
    changed = {}
    for phase, optimizer in zip(model.phases, taking.optimizers, strict=True):
        taking._descend(phase, optimizer, tiny_batch((7,), 6), 0)
        moved = {n.split(".")[0] for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        changed[phase.name] = moved
        before = {name: value.clone() for name, value in model.named_parameters()}
    assert changed == {
        "step_critic": {"step_critic"},
        "clip_critic": {"clip_critic"},
        "generator": {"generator", "motion"},
    }


@pytest.mark.parametrize("length", [3, 4, 8, 15, 16, 17])
def test_clips_of_any_length_from_three_are_judged(length):
    """The authors' clip critic takes clips of exactly 16 steps."""
    for observation in ((7,), (3, 16, 16), (1, 64, 64)):
        logits = ClipCritic(observation, 4, 0.0)(tiny_batch(observation, 2, length).x)
        assert logits.shape == (2, length)


def test_the_step_critic_judges_patches():
    shapes = {
        side: StepCritic((3, side, side), 4, 0.0)(torch.rand(2, 3, side, side)).shape[1] for side in (16, 64)
    }
    assert shapes == {16: 1, 64: 16}


def test_the_clip_critic_sees_the_order_of_steps_and_the_step_critic_does_not():
    model, x = mocogan().eval(), tiny_batch((7,), 3, 6).x
    assert not torch.allclose(model.clip_critic(x).mean(1), model.clip_critic(x.flip(1)).mean(1))
    alone = model.step_critic(x.flatten(0, 1)).unflatten(0, (3, 6))
    turned = model.step_critic(x.flip(1).flatten(0, 1)).unflatten(0, (3, 6))
    torch.testing.assert_close(alone.flip(1), turned)


def test_noise_of_the_critics_is_for_training_only_and_from_the_generator():
    model, x = mocogan(noise=0.5).train(), tiny_batch((7,), 3, 5).x
    one, other = (model.clip_critic(x, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert not torch.equal(one, other)
    assert torch.equal(one, model.clip_critic(x, torch.Generator().manual_seed(0)))
    model.eval()
    assert torch.equal(model.clip_critic(x), model.clip_critic(x))


def test_one_content_code_holds_for_the_whole_clip():
    model = mocogan().eval()
    codes = model.draw(4, 6, torch.Generator().manual_seed(0))
    still = Codes(codes.static, codes.dynamic[:, :1].expand(-1, 6, -1))
    made = model.decode(still).mean
    torch.testing.assert_close(made, made[:, :1].expand_as(made))


def test_the_prior_is_the_path_without_noise():
    model = mocogan().eval()
    path = model.roll(3, 5, torch.Generator().manual_seed(0))
    mean = model.prior(path).mean
    for t in range(5):
        before = torch.zeros(3, 4) if t == 0 else path[:, t - 1]
        following = model.motion(torch.zeros(3, 1, 4), before.unsqueeze(0))[0][:, 0]
        torch.testing.assert_close(mean[:, t], following)


def test_critics_cannot_tell_by_the_padding():
    """Made clips are zero wherever real ones are not observed."""
    model, x = mocogan().train(), tiny_batch((7,), 4, 6).x
    mask = steps_below(torch.tensor([6, 4, 3, 5]), 6).unsqueeze(2) & (torch.rand(x.shape) < 0.8)
    seen = []
    model.clip_critic.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model.terms(Batch(x, mask), torch.Generator().manual_seed(0), "clip_critic")
    assert len(seen) == 2
    for clips in seen:
        assert (clips[~mask] == 0).all()
        assert (clips[mask] != 0).all()


def test_steps_without_observed_values_are_not_judged():
    model, x = mocogan().train(), tiny_batch((7,), 30, 6).x
    mask = torch.zeros(30, 6, dtype=torch.bool)
    mask[:, [1, 4]] = True
    seen = []
    model.step_critic.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model.terms(Batch(x, mask), torch.Generator().manual_seed(0), "step_critic")
    picked = (x == seen[0].unsqueeze(1)).all(2).nonzero()[:, 1]
    assert set(picked.tolist()) == {1, 4}


def test_clips_shorter_than_the_kernel_are_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 2, 7)).astype(np.float32)
    data = Sequences.from_arrays(x, name="noise")
    with pytest.raises(
        ValueError, match="data: sequences have 2 steps; mocogan's critic of clips compares 3"
    ):
        fit(data, "mocogan", folder=tmp_path / "run", training=TrainingConfig(max_epochs=1), quiet=True)
    assert not (tmp_path / "run").exists()


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match="mocogan has no encoder"):
        mocogan().encode(tiny_batch((7,)).x)
    with pytest.raises(ValueError, match="is a window of a series; critics read frames"):
        mocogan((4, 3))
    with pytest.raises(ValueError, match=r"model\.noise: -1\.0 must not be negative"):
        mocogan(noise=-1.0)
