"""`nn.TransformerEncoder` and `nn.Transformer`, batch first and sequence first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmlib.mixing import Mixup, eligible_sites, mix_at

K = 5


class Encoder(nn.Module):
    def __init__(self, batch_first: bool = True, norm_first: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        block = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.1, batch_first=batch_first, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, K)
        self.steps = 1 if batch_first else 0

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(self.steps))


class Translator(nn.Module):
    """An encoder and a decoder; the input is the pair of both."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Transformer(8, 2, 1, 1, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, K)

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return self.head(self.body(*pair))  # (B, T, K)


def batch(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("site", ["input", "encoder.layers.0", "encoder.layers.1", "encoder"])
def test_an_encoder(site, norm_first, follows_the_definition, splits_at):
    net, x, y = Encoder(norm_first=norm_first).double(), batch(4, 3, 8), torch.tensor([0, 1, 4, 2])
    follows_the_definition(net, x, y, site)
    splits_at(net, x, y, site)


def test_sites_of_an_encoder():
    found = eligible_sites(Encoder().double(), batch(4, 3, 8))
    assert {"input", "encoder", "encoder.layers.0", "encoder.layers.1", "head"} <= set(found)
    assert not any("attn" in name or "linear" in name for name in found)


def test_a_sequence_first_encoder_is_mixed_between_examples_once_told():
    net, x, y = Encoder(batch_first=False), batch(3, 4, 8).float(), torch.tensor([0, 1, 4, 2])
    with pytest.raises(ValueError, match="sequence-first.*batch_dim={'encoder.layers.0': 1}"):
        Mixup(layers=("encoder.layers.0",))(net, x, y)
    same = Encoder(batch_first=True)
    mixups = [
        Mixup(lam=0.3, layers=("encoder.layers.0",), batch_dim=dim)
        for dim in ({"encoder.layers.0": 1}, None)
    ]
    draw, logits = mixups[0].draw(4), []
    for mixup, model, tokens in zip(mixups, (net, same), (x, x.transpose(0, 1)), strict=True):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0
        logits.append(mixup.apply(model, tokens, y, draw).logits)
    torch.testing.assert_close(*logits)


def test_an_encoder_with_a_decoder_has_one_target_for_each_token(follows_the_definition):
    net, pair = Translator().double(), (batch(4, 3, 8), batch(4, 6, 8))
    y = torch.arange(24).view(4, 6) % K
    follows_the_definition(net, pair, y, "body.decoder")
    mixed = Mixup(layers=("body.decoder",))(net, pair, y)
    assert mixed.logits.shape == mixed.targets.shape == (4, 6, K)
    # A second input that enters behind the site is not mixed: at lambda 0 the logits are those of
    # the partner only if all that differs between examples passes through the site.
    net.eval()
    roll, plain = torch.arange(4).roll(1), net(pair)
    torch.testing.assert_close(mix_at(net, pair, "body.decoder", 0.0, roll), plain[roll])
    halfway = mix_at(net, pair, "body.encoder", 0.0, roll)
    torch.testing.assert_close(halfway, net((pair[0][roll], pair[1])))
    assert not torch.allclose(halfway, plain[roll])
    net.train()
    with pytest.raises(ValueError, match="0, 5.*-100"):  # a label that means: ignore this token
        Mixup(layers=("body.decoder",))(net, pair, y.clone().fill_(-100))
