import pytest
import torch
from torch import nn

from mmlib.measures import gradient_terms, half_squared, state_terms
from mmlib.measures.mixed_gradient import TERMS
from mmlib.mixing import capture, mix_at, soft_cross_entropy
from mmlib.models import mlp

LOSSES = (half_squared, soft_cross_entropy)


def case(seed=0, n=6, inputs=4, outputs=3, lam=None):
    torch.manual_seed(seed)
    x = torch.randn(n, inputs, dtype=torch.float64)
    y = torch.softmax(torch.randn(n, outputs, dtype=torch.float64), 1)
    return x, y, torch.rand(n, dtype=torch.float64) if lam is None else lam, torch.randperm(n)


def net(*sizes, activation="tanh", seed=0):
    torch.manual_seed(seed)
    return mlp(sizes, activation).double()


def normed():
    torch.manual_seed(1)
    front = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 5))
    return nn.Sequential(front, nn.Sequential(nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)))


def gradients(model, loss):
    named = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()))
    return dict(zip(named, found, strict=True))


def flat(found, names):
    return torch.cat([found[name].flatten() for name in names])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layer", ["layer1", "layer2"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_terms_add_up_to_the_gradient_of_the_mixed_loss(loss, layer, reduction):
    model = net(4, 7, 6, 3)
    x, y, lam, partner = case()
    terms = gradient_terms(model, x, y, layer, lam, partner, loss, reduction)
    mixed = lam[:, None] * y + (1 - lam[:, None]) * y[partner]
    value = loss(mix_at(model, x, layer, lam, partner), mixed, reduction)
    exact = gradients(model, value)
    assert terms.loss == pytest.approx(float(value.detach()), rel=1e-13)
    assert {*terms.feature_names, *terms.head_names} == set(exact)
    assert not {*terms.feature_names} & {*terms.head_names}
    for group, names in (("features", terms.feature_names), ("head", terms.head_names)):
        torch.testing.assert_close(terms.total(group), flat(exact, names), rtol=1e-12, atol=1e-14)
        assert tuple(getattr(terms, group)) == TERMS


def test_batch_norm_in_both_parts_still_adds_up_and_keeps_its_statistics():
    model = normed().double().train()
    x, y, lam, partner = case()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    terms = gradient_terms(model, x, y, "0", lam, partner, half_squared)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training and all(p.grad is None for p in model.parameters())
    z = capture(model, x, "0")
    mix = lam[:, None]
    out = model[1](mix * z + (1 - mix) * z[partner])
    exact = gradients(model, half_squared(out, mix * y + (1 - mix) * y[partner]))
    for group, names in (("features", terms.feature_names), ("head", terms.head_names)):
        torch.testing.assert_close(terms.total(group), flat(exact, names), rtol=1e-12, atol=1e-13)
    assert terms.features["rest"].norm() > 1e-3 * terms.total().norm()


@pytest.mark.parametrize("bias", [True, False])
def test_no_rest_for_an_affine_head_and_squared_error(bias):
    x, y, lam, partner = case()
    model = nn.Sequential(nn.Linear(4, 5), nn.Softplus(), nn.Linear(5, 3, bias=bias)).double()
    terms = gradient_terms(model, x, y, "1", lam, partner, half_squared)
    for group in (terms.features, terms.head, terms.states):
        assert group["rest"].abs().max() < 1e-15
    # Controls: a curved head, and cross-entropy with the same affine head.
    bent = gradient_terms(model, x, y, "0", lam, partner, half_squared)
    entropy = gradient_terms(model, x, y, "1", lam, partner, soft_cross_entropy)
    for other in (bent, entropy):
        assert other.features["rest"].abs().max() > 1e-5
        assert other.head["rest"].abs().max() > 1e-5


def test_each_term_is_what_its_name_says():
    """Against the formulas with Jacobians of single examples."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y, lam, partner = case(n=2)
    partner = torch.tensor([1, 0])
    lam = torch.tensor([0.3, 0.9], dtype=torch.float64)
    front = [model[0].weight, model[0].bias]
    found = gradient_terms(model, x, y, "1", lam, partner, half_squared, "sum")
    residual = (model(x) - y).detach()

    def pulled(i, j):
        """J_i^T W^T r_j."""
        out = model[:2](x[i : i + 1]) @ model[2].weight.detach().T
        grads = torch.autograd.grad(out, front, residual[j : j + 1])
        return torch.cat([g.flatten() for g in grads])

    def outer(i, j):
        """r_j z_i^T for the weights, r_j for the bias."""
        z = model[:2](x[i]).detach()
        return torch.cat([torch.outer(residual[j], z).flatten(), residual[j]])

    for name, formula in (("features", pulled), ("head", outer)):
        want = {term: 0.0 for term in TERMS[:4]}
        for i, j in ((0, 1), (1, 0)):
            a = lam[i]
            want["usual_first"] += a**2 * formula(i, i)
            want["usual_second"] += (1 - a) ** 2 * formula(j, j)
            want["cross_first"] += a * (1 - a) * formula(i, j)
            want["cross_second"] += a * (1 - a) * formula(j, i)
        for term, value in want.items():
            torch.testing.assert_close(getattr(found, name)[term], value, rtol=1e-12, atol=1e-14)


def test_a_residual_of_zero_leaves_the_cross_term_at_the_fitted_example():
    model = net(4, 5, 3)
    x, y, _, _ = case(n=2)
    y[0] = model(x[:1]).detach()[0]  # example 0 is fitted, example 1 is not
    lam = torch.tensor([0.4, 1.0]).double()  # the second mix is example 1 alone
    terms = gradient_terms(model, x, y, "layer1", lam, torch.tensor([1, 1]), half_squared)
    states = {name: value.norm(dim=1) for name, value in terms.states.items()}
    assert states["usual_first"][0] == 0 and states["cross_second"].max() < 1e-15
    assert states["cross_first"][0] > 1e-3


def test_fitted_pairs_have_no_gradient_at_all():
    model = net(4, 5, 3)
    x, _, lam, partner = case()
    y = model(x).detach()
    terms = gradient_terms(model, x, y, "layer1", lam, partner, half_squared)
    assert terms.loss < 1e-28
    for group in ("features", "head", "states"):
        assert terms.total(group).abs().max() < 1e-14
    # Control: fitted exactly, but the head is curved.
    bent = net(4, 5, 5, 3)
    y = bent(x).detach()
    assert gradient_terms(bent, x, y, "layer1", lam, partner, half_squared).total().norm() > 1e-4


@pytest.mark.parametrize("loss", LOSSES)
def test_state_terms_add_up_and_agree_with_gradient_terms(loss):
    model = net(4, 7, 6, 3)
    x, y, lam, partner = case()
    partner[0] = partner[1]  # no permutation
    z = capture(model, x, "layer1").detach().requires_grad_()

    def head(h):
        return model.head(model.layer2(h))

    terms = state_terms(head, z, y, lam, partner, loss)
    mix = lam[:, None]
    value = loss(head(mix * z + (1 - mix) * z[partner]), mix * y + (1 - mix) * y[partner], "mean")
    exact = torch.autograd.grad(value, z)[0]
    torch.testing.assert_close(sum(terms.values()), exact, rtol=1e-12, atol=1e-15)
    whole = gradient_terms(model, x, y, "layer1", lam, partner, loss)
    for name in ("usual", "cross"):
        both = whole.states[f"{name}_first"] + whole.states[f"{name}_second"]
        torch.testing.assert_close(terms[name], both, rtol=1e-12, atol=1e-15)


def test_state_terms_of_one_lambda_and_a_permutation_follow_the_formula():
    model = net(4, 5, 3)
    x, y, _, _ = case()
    partner = torch.tensor([1, 2, 0, 4, 5, 3])
    z = model.layer1(x).detach()
    found = state_terms(model.head, z, y, 0.3, partner, half_squared, "sum")
    g = (model.head(z) - y).detach() @ model.head.weight.detach()
    torch.testing.assert_close(found["usual"], (0.3**2 + 0.7**2) * g)
    inverse = torch.argsort(partner)
    torch.testing.assert_close(found["cross"], 0.21 * (g[partner] + g[inverse]))


def test_images_and_class_indices():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = torch.randn(4, 1, 4, 4).double(), torch.tensor([0, 2, 1, 1])
    partner = torch.tensor([3, 2, 1, 0])
    terms = gradient_terms(model, x, y, "1", 0.6, partner)
    one_hot = gradient_terms(model, x, torch.eye(3).double()[y], "1", 0.6, partner)
    assert terms.states["rest"].shape == (4, 2, 2, 2)
    torch.testing.assert_close(terms.total(), one_hot.total(), rtol=0, atol=0)
    at_input = gradient_terms(model, x, y, "input", 0.6, partner)
    assert at_input.features["rest"].numel() == 0 and at_input.states["rest"].abs().max() > 0


def test_the_rest_falls_as_the_states_approach():
    """First order in their distance for a curved head, second for cross-entropy and for it alone
    where targets are equal."""
    torch.manual_seed(0)
    middle, step = torch.randn(1, 4).double(), torch.randn(1, 4).double()
    curved = net(4, 16, 3)
    straight = net(4, 3)
    y = torch.eye(3).double()[:2]

    def slope(head, targets, loss):
        sizes = []
        for t in (1e-2, 1e-3):
            z = torch.cat([middle + t * step, middle - t * step])
            rest = state_terms(head, z, targets, 0.3, torch.tensor([1, 0]), loss, "sum")["rest"]
            sizes.append(rest.norm())
        return float(torch.log10(sizes[0] / sizes[1]))

    assert slope(curved, y, half_squared) == pytest.approx(1, abs=0.05)
    assert slope(curved, y, soft_cross_entropy) == pytest.approx(1, abs=0.05)
    assert slope(curved, y[[0, 0]], half_squared) == pytest.approx(2, abs=0.05)
    assert slope(straight, y, soft_cross_entropy) == pytest.approx(2, abs=0.05)


def test_the_leading_term_of_the_rest():
    """lam (1 - lam) D2G[d]^T e for squared error, W^T D2p[Wd, Wd] for cross-entropy."""
    torch.manual_seed(0)
    lam, partner = torch.tensor([0.3, 0.7]).double(), torch.tensor([1, 0])
    head, step = net(4, 16, 3), 1e-3
    middle, d = torch.randn(4).double(), torch.randn(4).double() * 1e-3
    z = torch.stack([middle + 0.7 * d, middle - 0.3 * d])  # so that the mix lies in the middle
    y = torch.eye(3).double()[:2]

    def jacobian(at):
        return torch.autograd.functional.jacobian(lambda one: head(one[None])[0], at)

    second = (jacobian(middle + step * d) - jacobian(middle - step * d)) / (2 * step)
    wanted = 0.21 * second.T @ (y[0] - y[1])
    # Both rows are the same mix; state 0 has weight 0.3 in it and state 1 weight 0.7.
    found = state_terms(head, z, y, lam, partner, half_squared, "sum")["rest"] / 2
    torch.testing.assert_close(found[0] / 0.3, wanted, rtol=2e-2, atol=float(1e-2 * wanted.norm()))
    torch.testing.assert_close(found[1] / 0.7, wanted, rtol=2e-2, atol=float(1e-2 * wanted.norm()))

    straight = nn.Linear(4, 3).double()
    w = straight.weight.detach()

    def p(t):
        return straight(middle + t * d).softmax(0).detach()

    curve = (p(10.0) - 2 * p(0.0) + p(-10.0)) / 100
    wanted = -0.21 / 2 * w.T @ curve
    found = state_terms(straight, z, y, lam, partner, soft_cross_entropy, "sum")["rest"] / 2
    torch.testing.assert_close(found[0] / 0.3, wanted, rtol=2e-2, atol=float(1e-2 * wanted.norm()))


def test_bad_input_is_named():
    model = net(4, 5, 3)
    x, y, lam, partner = case()
    with pytest.raises(ValueError, match="lam: expected"):
        gradient_terms(model, x, y, "layer1", lam + 1, partner)
    with pytest.raises(ValueError, match="partner: expected 6 indices"):
        gradient_terms(model, x, y, "layer1", lam, partner + 1)
    with pytest.raises(TypeError, match="partner"):
        state_terms(model.head, x, y, lam, partner.double())
    with pytest.raises(ValueError, match="reduction"):
        gradient_terms(model, x, y, "layer1", lam, partner, half_squared, "none")
    with pytest.raises(ValueError, match="targets: expected"):
        gradient_terms(model, x, y[:, :2], "layer1", lam, partner, half_squared)
    with pytest.raises(ValueError, match="group"):
        gradient_terms(model, x, y, "layer1", lam, partner).total("tail")
