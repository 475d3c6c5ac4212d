"""Targets and losses against torch's own, in float64, float32 and below."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mmlib.mixing import bce_on_softmax, mse, soft_cross_entropy, soft_targets

LOSSES = [soft_cross_entropy, bce_on_softmax, mse]


def problem(k: int = 4):
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(6, k, generator=g, dtype=torch.float64, requires_grad=True)
    soft = torch.softmax(torch.randn(6, k, generator=g, dtype=torch.float64), -1)
    return logits, soft


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_soft_cross_entropy_is_torchs(reduction):
    logits, soft = problem()
    expected = F.cross_entropy(logits, soft, reduction=reduction)
    torch.testing.assert_close(soft_cross_entropy(logits, soft, reduction), expected)
    y = soft.argmax(-1)
    expected = F.cross_entropy(logits, y, reduction=reduction)
    got = soft_cross_entropy(logits, y, reduction)
    torch.testing.assert_close(got, expected)


def test_bce_on_softmax_is_the_direct_one():
    logits, soft = problem()
    expected = F.binary_cross_entropy(logits.softmax(-1), soft)
    torch.testing.assert_close(bce_on_softmax(logits, soft), expected)
    (a,) = torch.autograd.grad(bce_on_softmax(logits, soft), logits)
    (b,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(lambda v: bce_on_softmax(v, soft), logits)


@pytest.mark.parametrize("size", [20.0, 100.0, 1e4])
def test_bce_on_softmax_is_exact_and_finite_at_the_ends(size):
    logits = torch.tensor([[size, 0.0, -1.0]], requires_grad=True)
    loss = bce_on_softmax(logits, torch.tensor([[0.0, 1.0, 0.0]]))
    exact = torch.tensor([[size, 0.0, -1.0]], dtype=torch.float64)
    log_p = exact.log_softmax(-1)
    others = exact[:, 1:].logsumexp(-1) - exact.logsumexp(-1)  # log(1 - p) of the first class
    p = log_p.exp()
    expected = -(others + log_p[0, 1] + torch.log1p(-p[0, 2])) / 3
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert logits.grad.isfinite().all() and logits.grad[0, 0] > 0.1


@pytest.mark.parametrize("k", [2, 10, 200])
def test_gradient_ratio_at_uniform_output(k):
    """At uniform output cross-entropy pulls (K - 1) times as hard as BCE on softmax."""
    logits = torch.zeros(1, k, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0])
    (ce,) = torch.autograd.grad(soft_cross_entropy(logits, y), logits)
    (bce,) = torch.autograd.grad(bce_on_softmax(logits, y), logits)
    torch.testing.assert_close(ce, (k - 1) * bce)


def test_tied_largest_logits():
    logits = torch.zeros(2, 2, requires_grad=True)
    bce_on_softmax(logits, torch.tensor([0, 1])).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, kind):
    logits, soft = problem()
    low = logits.detach().to(kind).requires_grad_()
    got = loss(low, soft.to(kind))
    assert got.dtype == torch.float32
    expected = loss(low.detach().double(), soft.to(kind).double())
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    got.backward()
    assert low.grad.dtype == kind
    with torch.autocast("cpu", kind):
        assert loss(low, soft.float()).dtype == torch.float32


@pytest.mark.parametrize("loss", [soft_cross_entropy, bce_on_softmax])
def test_losses_are_linear_in_the_targets(loss):
    logits, soft = problem()
    other = soft.flip(0)
    mixed = loss(logits, 0.3 * soft + 0.7 * other)
    torch.testing.assert_close(mixed, 0.3 * loss(logits, soft) + 0.7 * loss(logits, other))


@pytest.mark.parametrize("loss", LOSSES)
def test_reductions_and_leading_dimensions(loss):
    logits, soft = problem()
    each = loss(logits, soft, "none")
    assert each.shape == (6,)
    torch.testing.assert_close(loss(logits, soft), each.mean())
    torch.testing.assert_close(loss(logits, soft, "sum"), each.sum())
    cube, targets = logits.view(2, 3, 4), soft.view(2, 3, 4)
    torch.testing.assert_close(loss(cube, targets, "none").flatten(), each)
    indices = loss(cube, targets.argmax(-1), "none").flatten()
    torch.testing.assert_close(indices, loss(logits, soft.argmax(-1), "none"))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_check_what_they_get(loss):
    logits, soft = problem()
    with pytest.raises(ValueError, match=r"targets: expected \(6, 4\)"):
        loss(logits, soft[:5])
    with pytest.raises(ValueError, match="targets"):
        loss(logits, soft[:, :3])
    with pytest.raises(ValueError, match="reduction"):
        loss(logits, soft, "median")
    with pytest.raises(TypeError, match="logits"):
        loss(soft.argmax(-1), soft)
    with pytest.raises(TypeError, match=r"y\[:, None\]"):
        loss(logits, soft[:, 0])


def test_bce_needs_two_classes():
    with pytest.raises(ValueError, match="two classes"):
        bce_on_softmax(torch.zeros(3, 1), torch.zeros(3, 1))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64])
def test_soft_targets(kind):
    y = torch.tensor([2, 0], dtype=kind)
    assert torch.equal(soft_targets(y, 3), torch.eye(3)[[2, 0]])
    with pytest.raises(ValueError, match=r"\[0, 2\).*0 to 2"):
        soft_targets(y, 2)
    with pytest.raises(ValueError, match="num_classes"):
        soft_targets(y)
    with pytest.raises(TypeError, match="list"):
        soft_targets([1, 2], 3)
    with pytest.raises(ValueError, match="expected 2 classes"):
        soft_targets(torch.rand(3, 4), 2)
