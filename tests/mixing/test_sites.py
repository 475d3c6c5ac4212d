"""Hooks under exceptions, in-place operations, checkpointing, autocast, compilation and DDP."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from mmlib.mixing import Mixup, OptimalPairing, bce_on_softmax, mix_at, soft_cross_entropy


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Checkpointed(nn.Module):
    """Three blocks, each run under activation checkpointing; the second one is used twice."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 5))
        self.tied = nn.Sequential(nn.Tanh(), nn.Linear(5, 5), nn.Sigmoid())
        self.last = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
        self.mode = mode

    def inner(self, h):
        return self.tail(self.tied, self.part(self.tied, h))

    def part(self, function, h):
        if self.mode == "plain":
            return function(h)
        return checkpoint(function, h, use_reentrant=self.mode == "reentrant")

    def tail(self, function, h):
        return self.part(function, h)

    def forward(self, x):
        h = self.part(self.first, x)
        if self.mode == "nested":
            h = checkpoint(self.inner, h, use_reentrant=False)
        else:
            h = self.inner(h)
        return self.part(self.last, h)


LAYERS = ("first", "first.0", "first.1", "tied@0", "tied@1", "tied.1@0", "tied.1@1", "last.0")


def gradients(mode: str, layers, **options):
    """Gradients of one backward pass through a clean and two mixed forward passes."""
    model = Checkpointed(mode)
    g = gen(1)
    x, y = torch.randn(6, 3, generator=g, requires_grad=True), torch.randint(3, (6,), generator=g)
    mixup = Mixup(1.0, layers, generator=gen(2), **options)
    torch.manual_seed(3)
    loss = model(x).square().mean()
    for _ in range(2):
        mixed = mixup(model, x, y)
        loss = loss + soft_cross_entropy(mixed.logits, mixed.targets)
    model(2 * x)
    assert not any(m._forward_hooks for m in model.modules())
    loss.backward(retain_graph=True)
    loss.backward()
    assert not any(m._forward_hooks for m in model.modules())
    return [p.grad for p in model.parameters()] + [x.grad]


@pytest.mark.parametrize("mode", ["reentrant", "not", "nested"])
@pytest.mark.parametrize("layer", LAYERS)
def test_checkpointed_gradients_equal_plain_ones(mode, layer):
    for pairing in (None, OptimalPairing(2)):
        expected = gradients("plain", (layer,), pairing=pairing)
        for a, b in zip(gradients(mode, (layer,), pairing=pairing), expected, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("mode", ["reentrant", "not", "nested"])
def test_checkpointing_with_all_layers_per_example(mode):
    expected = gradients("plain", LAYERS, per_example=True)
    for a, b in zip(gradients(mode, LAYERS, per_example=True), expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_checkpoint_sequential_and_an_exception_while_running_again():
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(4)])

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = model

        def forward(self, x):
            return checkpoint_sequential(self.body, 2, x, use_reentrant=False)

    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    mixed = Mixup(layers=("body.0.0",), generator=gen())(Wrapped(), x, y)
    fail = model[0][1].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mixed.logits.sum().backward()
    fail.remove()
    assert not any(m._forward_hooks for m in model.modules())


def test_no_hook_left_after_an_exception():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 3))
    mixup = Mixup(layers=("0",), generator=gen())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            mixup(model, torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
        assert not model[0]._forward_hooks
    original = torch.utils.checkpoint.CheckpointFunction
    assert isinstance(original, type)


def test_other_hooks_stay_and_run():
    model, seen = nn.Sequential(nn.Linear(3, 3)), []
    handle = model[0].register_forward_hook(lambda m, a, out: seen.append(out))
    Mixup(layers=("0",), generator=gen())(model, torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
    assert len(seen) == 1 and list(model[0]._forward_hooks) == [handle.id]


def test_mixing_inside_mixing_the_same_module_is_refused():
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 2)

        def forward(self, x):
            return self.a(mix_at(nn.Sequential(self.a), x, "0", 0.5, torch.tensor([1, 0])))

    with pytest.raises(RuntimeError, match="being mixed already"):
        mix_at(Nested(), torch.randn(2, 2), "a", 0.5, torch.tensor([1, 0]))


def test_mixed_layers_of_two_models_can_be_nested():
    inner, outer = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.outer = outer

        def forward(self, x):
            return self.outer(mix_at(inner, x, "0", 0.5, torch.tensor([1, 0])))

    x = torch.randn(2, 2)
    got = mix_at(Both(), x, "outer", 0.25, torch.tensor([1, 0]))
    h = outer(0.5 * inner(x) + 0.5 * inner(x).flip(0))
    torch.testing.assert_close(got, 0.25 * h + 0.75 * h.flip(0))


@pytest.mark.parametrize("layer", ["input", "0", "1", "2", "3"])
def test_in_place_operations_after_the_site(layer):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    model = copy.deepcopy(plain)
    model[1], model[3] = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
    if layer == "3":  # only the mix makes this one legal: sigmoid needs its own output
        plain[3], model[3] = nn.Sigmoid(), nn.Sigmoid()
        plain.insert(4, nn.ReLU())
        model.insert(4, nn.ReLU(inplace=True))
    x, y = torch.randn(6, 3), torch.randint(3, (6,))
    grads = []
    for net in (plain, model):
        mixed = Mixup(layers=(layer,), generator=gen(1))(net, x, y)
        soft_cross_entropy(mixed.logits, mixed.targets).backward()
        grads.append([p.grad for p in net.parameters()])
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_autocast_and_low_precision(kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    x, y = torch.randn(12, 8), torch.randint(3, (12,))
    for layer in ("input", "0", "1"):
        exact = Mixup(layers=(layer,), generator=gen(1))(model, x, y)
        with torch.autocast("cpu", kind):
            mixed = Mixup(layers=(layer,), generator=gen(1))(model, x, y)
            losses = [f(mixed.logits, mixed.targets) for f in (soft_cross_entropy, bce_on_softmax)]
        assert mixed.logits.dtype == kind
        assert all(loss.dtype == torch.float32 for loss in losses)
        torch.testing.assert_close(mixed.logits.float(), exact.logits, atol=2e-2, rtol=2e-2)
        sum(losses).backward()
    whole = copy.deepcopy(model).to(kind)
    pairing = OptimalPairing(3)
    Mixup(layers=("0",), pairing=pairing, generator=gen())(
        whole, x.to(kind), y
    ).logits.sum().backward()


def test_channels_last_is_kept():
    seen = []
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    model = model.to(memory_format=torch.channels_last)
    x = torch.randn(5, 3, 4, 4).to(memory_format=torch.channels_last)
    y = torch.randint(2, (5,))
    model[1].register_forward_pre_hook(lambda m, a: seen.append(a[0]))
    mixed = Mixup(layers=("0",), generator=gen())(model, x, y)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    dense = Mixup(layers=("0",), generator=gen())(model, x.contiguous(), y)
    torch.testing.assert_close(mixed.logits, dense.logits)


class Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Linear(1, 3)
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        return self.head(x + self.position(torch.ones(len(x), 1)))


def test_features_that_do_not_change_raise():
    model, x, y = Constant(), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    mixup = Mixup(lam=0.5, layers=("position",), generator=gen())
    with pytest.raises(RuntimeError, match="features did not change"):
        mixup(model, x, y)
    with torch.no_grad():  # nothing to change: no weight on the partner, and no partner
        kept = Mixup(lam=1.0, layers=("position",))(model, x, y)
        alone = Mixup(lam=0.5, layers=("position",))(model, x[:1], y[:1])
        torch.testing.assert_close(kept.logits, model(x))
        torch.testing.assert_close(alone.logits, model(x[:1]))


def test_equal_examples_may_leave_features_unchanged():
    model = nn.Sequential(nn.Linear(3, 3))
    x, y = torch.ones(4, 3), torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        same = Mixup(lam=0.5, layers=("0",), generator=gen())(model, x, y)
        torch.testing.assert_close(same.logits, model(x))
        x[0] = 0  # one pair that differs suffices for a change
        one = Mixup(lam=0.5, layers=("0",), pairing=OptimalPairing(1), generator=gen())(model, x, y)
        torch.testing.assert_close(one.logits, (model(x) + model(x)[one.partner]) / 2)


def test_data_parallel_is_refused():
    model = nn.DataParallel(nn.Sequential(nn.Linear(3, 3)))
    with pytest.raises(TypeError, match="DistributedDataParallel"):
        Mixup(layers=("0",))(model, torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    for frozen in (torch.jit.script(model), torch.jit.trace(model, x)):
        with pytest.raises(TypeError, match="TorchScript"):
            Mixup(layers=("0",))(frozen, x, y)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused_and_the_fast_path_is_left():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)

    class Net(nn.Module):
        def __init__(self, nested: bool) -> None:
            super().__init__()
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)

        def forward(self, x):
            mask = torch.arange(5).expand(4, 5) > 3
            return self.encoder(x, src_key_padding_mask=mask)

    x, partner = torch.randn(4, 5, 8), torch.tensor([1, 0, 3, 2])
    with torch.no_grad(), pytest.raises(TypeError, match="enable_nested_tensor=False"):
        mix_at(Net(True).eval(), x, "encoder.layers.0", 0.3, partner)
    model = Net(False).eval()
    for site in ("encoder.layers.0", "encoder.layers.0.linear1", "encoder.layers.1.norm2"):
        with torch.no_grad():
            fast = mix_at(model, x, site, 0.3, partner)
        torch.testing.assert_close(fast, mix_at(model, x, site, 0.3, partner))


def test_no_false_residual_warning():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.tanh = nn.Linear(3, 3), nn.Tanh()

        def forward(self, x):
            return self.linear(self.tanh(self.linear(x)))

    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    model = Tied()  # a warning would be an error here
    mixed = Mixup(lam=0.5, layers=("tanh",), generator=gen())(model, x, y)
    h = model.tanh(model.linear(x))
    torch.testing.assert_close(mixed.logits, model.linear((h + h[mixed.partner]) / 2))
    with torch.autocast("cpu", torch.bfloat16):  # casts of a weight are cached and shared
        low = Mixup(lam=0.5, layers=("tanh",), generator=gen())(model, x, y)
    torch.testing.assert_close(low.logits.float(), mixed.logits, rtol=0.05, atol=0.05)


def test_gradients_of_gradients_and_of_inputs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, y = torch.randn(4, 3).double().requires_grad_(), torch.tensor([0, 1, 2, 0])
    mixup = Mixup(layers=("0",), generator=gen())
    draw = mixup.draw(4)
    assert torch.autograd.gradcheck(lambda v: mixup.apply(model, v, y, draw).logits, x)
    assert torch.autograd.gradgradcheck(lambda v: mixup.apply(model, v, y, draw).logits, x)


def test_every_kind_of_grad_mode():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    mixup = Mixup(layers=("0",), generator=gen())
    draw = mixup.draw(4)
    expected = mixup.apply(model, x, y, draw).logits
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert torch.equal(mixup.apply(model, x, y, draw).logits, expected)
