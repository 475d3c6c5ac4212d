"""The expansion against polynomials whose terms are known, and against finite differences."""

from __future__ import annotations

import pytest
import torch

from mmlib.measures.mixup_expansion import (
    log_partition,
    mixed_losses,
    own_losses,
    pair_expansion,
    pair_terms,
    printed_expansion,
    remainders,
)
from mmlib.measures.weight_laws import jacobi_nodes, partner_moments
from mmlib.mixing import soft_cross_entropy


def problem(outputs=3, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    first, last = normal(2, 5), normal(5, outputs)
    x, y = normal(4, 2), normal(4, outputs).softmax(1)
    weights = normal(4, 4).softmax(1)
    return (lambda v: torch.tanh(v @ first + 0.3) @ last), x, y, weights


def pairs(x, y, weights):
    i, j = weights.nonzero().T
    return (x[i], x[j], y[i]), weights[i, j] / len(x)


def test_a_quadratic_network_under_squared_error_is_known_to_the_end():
    # f = 1 + v + v^2 on a line from 0 to 1: loss (1 + a + a^2)^2 / 2 - y (1 + a + a^2).
    def square(out):
        return out.square().sum(-1) / 2

    def network(v):
        return 1 + v + v**2

    x, r, y = torch.zeros(1, 1), torch.ones(1, 1), torch.full((1, 1), 0.5)
    terms = pair_terms(network, x, r, y, square)
    assert terms.tolist() == [[0.0, 0.5, 0.5, 0.5]]
    a = torch.tensor([0.25, 1.0])
    left = remainders(network, (x, r, y), terms, a, square)[:, 0]
    assert torch.allclose(left, a**3 + a**4 / 2)


@pytest.mark.parametrize("outputs", (1, 3))
def test_printed_matrices_are_the_directions(outputs):
    network, x, y, weights = problem(outputs)
    inputs, weight = pairs(x, y, weights)
    direct = pair_expansion(pair_terms(network, *inputs), weight, 0.7)
    printed = printed_expansion(network, x, y, weights, 0.7)
    assert tuple(direct) == pytest.approx(tuple(printed), abs=1e-12)
    assert min(map(abs, printed)) > 1e-4


def test_terms_are_derivatives_of_the_loss():
    network, x, y, weights = problem()
    inputs, _ = pairs(x, y, weights)
    terms, step = pair_terms(network, *inputs), 1e-4
    low, mid, high = own_losses(network, *inputs, torch.tensor([-step, 0, step]).double())
    assert torch.allclose(terms[:, 0], mid)
    assert torch.allclose(terms[:, 1], (high - low) / (2 * step), atol=1e-6)
    second = (high - 2 * mid + low) / step**2 / 2
    assert torch.allclose(terms[:, 2] + terms[:, 3], second, atol=1e-5)
    assert bool((terms[:, 2] >= 0).all())  # h is convex


def test_an_affine_network_has_no_third_term():
    x, y = problem()[1:3]
    terms = pair_terms(torch.nn.Linear(2, 3).double(), x, x.roll(1, 0), y)
    assert bool((terms[:, 3] == 0).all()) and bool((terms[:, 2] > 0).any())
    assert not terms.requires_grad


def test_squared_error_of_an_affine_network_leaves_no_remainder():
    _, x, y, weights = problem()
    inputs, _ = pairs(x, y, weights)
    net = torch.nn.Linear(2, 3).double()

    def square(out):
        return out.square().sum(-1) / 2

    a = torch.tensor([0.3, 1.0]).double()
    terms = pair_terms(net, *inputs, square)
    assert float(remainders(net, inputs, terms, a, square).abs().max()) < 1e-12
    curved = remainders(net, inputs, pair_terms(net, *inputs), a)  # another h does leave one
    assert float(curved.abs().max()) > 1e-3


def test_mixed_losses_by_hand():
    network, x, y, _ = problem()
    lam, weight = map(torch.from_numpy, jacobi_nodes(0.4, 0.4, 5))
    found, total = mixed_losses(network, x, y, lam, weight), 0.0
    for one, share in zip(lam, weight, strict=True):
        point, label = one * x[1] + (1 - one) * x[2], one * y[1] + (1 - one) * y[2]
        total += share * soft_cross_entropy(network(point[None]), label[None])
    assert found[1, 2].item() == pytest.approx(float(total))
    assert torch.allclose(found, found.T)  # the law is symmetric


def test_half_of_the_second_moment_belongs_to_the_formula():
    network, x, y, weights = problem()
    inputs, weight = pairs(x, y, weights)
    terms = pair_terms(network, *inputs)
    near = torch.tensor([1e-3]).double()
    rest = float(remainders(network, inputs, terms, near)[0] @ weight)
    wrong = rest - 1e-6 * float(weight @ terms[:, 2])
    assert abs(rest) < 0.01 * abs(wrong)
    assert partner_moments(2.0)[1] == 0.5 * partner_moments(2.0)[0]


def test_bad_input():
    network, x, y, weights = problem()
    with pytest.raises(ValueError, match=r"weights: expected \(4, 4\)"):
        printed_expansion(network, x, y, weights[:3], 1.0)
    with pytest.raises(ValueError, match=r"terms, weight: expected \(P, 4\)"):
        pair_expansion(torch.zeros(3, 3), torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="alpha"):
        pair_expansion(torch.zeros(3, 4), torch.zeros(3), 0.0)
    assert log_partition(torch.zeros(2, 1)).tolist() == pytest.approx([0.6931471805599453] * 2)
