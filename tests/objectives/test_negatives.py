"""Negatives chosen by divergence, against torch's divergences and lists sorted by hand."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unbraid.objectives.contrast import contrastive_loss
from unbraid.objectives.negatives import choose_negatives, contrast_among, pairwise_kl, ranks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normals(n, size=6, seed=0):
    mean, log_std = torch.randn(2, n, size, generator=generator(seed))
    return Normal(mean, log_std.exp())


def test_pairwise_kl_equals_that_of_each_pair():
    q, p = normals(5), normals(7, seed=1)
    expected = torch.stack(
        [
            torch.stack(
                [
                    kl_divergence(Normal(q.mean[i], q.stddev[i]), Normal(p.mean[j], p.stddev[j])).sum()
                    for j in range(7)
                ]
            )
            for i in range(5)
        ]
    )
    torch.testing.assert_close(pairwise_kl(q, p).float(), expected)
    assert torch.allclose(pairwise_kl(q, q).diagonal(), torch.zeros(5, dtype=torch.float64), atol=1e-9)


def test_pairwise_kl_is_exact_where_the_matrix_form_cancels():
    """Close normals far from the origin: their divergence is a small difference of large numbers."""
    q = Normal(torch.full((1, 4), 1000.0), torch.full((1, 4), 0.5))
    p = Normal(torch.full((1, 4), 1000.5), torch.full((1, 4), 0.5))
    with torch.autocast("cpu", torch.bfloat16):
        assert pairwise_kl(q, p).item() == pytest.approx(2.0, rel=1e-6)


def test_ranks_count_from_the_largest():
    assert ranks(torch.tensor([[3.0, 9.0, 1.0, 5.0]])).tolist() == [[2, 0, 3, 1]]


@pytest.mark.parametrize("choice", ["farthest", "middle", "random"])
def test_half_of_the_candidates_are_negatives(choice):
    kl = torch.rand(4, 12, generator=generator(2))
    chosen = choose_negatives(kl, choice, generator())
    assert chosen.sum(1).tolist() == [6] * 4
    for row, places in zip(kl, chosen, strict=True):
        order = sorted(range(12), key=lambda j: -row[j].item())
        if choice == "random":
            assert set(places.nonzero().flatten().tolist()) <= set(order[:8])
        else:
            first = 0 if choice == "farthest" else 4
            assert set(places.nonzero().flatten().tolist()) == set(order[first : first + 6])


def test_random_negatives_are_all_of_the_farthest_two_thirds_in_time():
    kl = torch.arange(12.0).expand(300, -1)
    share = choose_negatives(kl, "random", generator()).float().mean(0)
    assert share[:4].tolist() == [0.0] * 4
    torch.testing.assert_close(share[4:], torch.full((8,), 6 / 8), atol=0.1, rtol=0)


def test_contrast_equals_the_formula_and_the_known_contrast():
    u, candidates = torch.randn(3, 5, generator=generator(3)), torch.randn(6, 5, generator=generator(4))
    negatives = torch.rand(3, 6, generator=generator(5)) < 0.5
    positive = torch.tensor([4, 0, 2])
    total = 0.0
    for i in range(3):
        phi = (torch.cosine_similarity(u[i], candidates, dim=1) / 0.5).exp()
        own = phi[positive[i]]
        others = sum(phi[k] for k in range(6) if negatives[i, k] and k != positive[i])
        total = total - (own / (own + others)).log()
    torch.testing.assert_close(contrast_among(u, candidates, positive, negatives, 0.5), total / 3)
    both = torch.cat([u, u.flip(1)])
    everyone = contrast_among(both, both, torch.arange(6).roll(3), ~torch.eye(6, dtype=torch.bool), 0.5)
    torch.testing.assert_close(everyone, contrastive_loss(u, u.flip(1), 0.5).mean())


def test_without_negatives_there_is_nothing_to_pick():
    u = torch.randn(2, 4, generator=generator())
    none = torch.zeros(2, 2, dtype=torch.bool)
    assert contrast_among(u, u, torch.arange(2), none, 0.5).item() == 0
