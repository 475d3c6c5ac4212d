"""The numbers that may be made of the states of a layer, one function for all of them."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from mmlib.measures import spectra

# name -> what it is, and the largest group of maps of the states that leaves it as it is
CANDIDATES: dict[str, tuple[str, str]] = {
    "top": ("first singular value", "rotation"),
    "tail": ("mean of the other singular values", "rotation"),
    "raw_top": ("first singular value, not centred", "rotation, no shift"),
    "raw_tail": ("mean of the others, not centred", "rotation, no shift"),
    "ratio": ("tail over top", "scale"),
    "raw_ratio": ("tail over top, not centred", "scale, no shift"),
    "rank": ("effective rank", "scale"),
    "raw_rank": ("effective rank, not centred", "scale, no shift"),
    "participation": ("participation ratio", "scale"),
    "dims95": ("directions for 95 % of the variance", "scale"),
    "within": ("within-class over total variance", "scale"),
    "white": ("within-class share of the whitened variance", "affine"),
    "white_rank": ("effective rank, whitened", "affine"),
    "between": ("share of within-class variance along mean differences", "scale"),
    "outward": ("share of within-class variance along the class's own mean", "scale"),
    "size": ("root of the total variance", "rotation"),
    "all_top": ("first singular value of all classes together", "rotation"),
    "all_rank": ("effective rank of all classes together", "scale"),
    "all_participation": ("participation ratio of all classes together", "scale"),
}


def measures_of(h: Tensor, y: Tensor) -> dict[str, float]:
    """Return all candidate measures of states (N, H); those by class are means over the classes.

    Example:
        >>> h = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
        >>> found = measures_of(h, torch.arange(90) % 3)
        >>> list(found) == list(CANDIDATES), 3.5 < found["rank"] <= 4, 0.9 < found["white"] <= 1
        (True, True, True)
    """
    own = torch.stack(list(spectra.class_spectra(h, y).values()))
    raw = torch.stack(list(spectra.class_spectra(h, y, centred=False).values()))
    together = spectra.spectrum(h)
    white = spectra.whitened(h)
    if white.shape[1]:
        inside = torch.stack(list(spectra.class_spectra(white, y).values()))
        # Whitened states have variance one in each direction: a mean over directions.
        white_share = spectra.within_over_total(white, y)
    else:  # all states are one point, as when weight decay has switched a network off
        inside, white_share = torch.zeros(1, 1), float("nan")
    found = {
        "top": own[:, 0],
        "tail": own[:, 1:],
        "raw_top": raw[:, 0],
        "raw_tail": raw[:, 1:],
        "ratio": spectra.tail_over_top(own),
        "raw_ratio": spectra.tail_over_top(raw),
        "rank": spectra.effective_rank(own),
        "raw_rank": spectra.effective_rank(raw),
        "participation": spectra.participation_ratio(own),
        "dims95": spectra.dimensions_for(own).double(),
        "within": torch.tensor(spectra.within_over_total(h, y)),
        "white": torch.tensor(white_share),
        "white_rank": spectra.effective_rank(inside),
        "between": torch.tensor(spectra.between_share(h, y)[0]),
        "outward": torch.tensor(spectra.outward_share(h, y)),
        "size": together.square().sum().sqrt(),
        "all_top": together[0],
        "all_rank": spectra.effective_rank(together),
        "all_participation": spectra.participation_ratio(together),
    }
    return {name: float(value.mean()) for name, value in found.items()}


def states_of(net: nn.Sequential, x: Tensor) -> dict[str, Tensor]:
    """Return what each child of a network puts out, by name.

    Example:
        >>> from mmlib.models.bottleneck import bottleneck
        >>> found = states_of(bottleneck(6, 3, width=4, code=2), torch.zeros(5, 6))
        >>> list(found), tuple(found["code"].shape)
        (['flatten', 'layer1', 'layer2', 'code', 'layer3', 'layer4', 'head'], (5, 2))
    """
    found = {}
    with torch.no_grad():
        for name, child in net.named_children():
            x = child(x)
            found[name] = x
    return found


def through_code(net: nn.Sequential, change: Tensor) -> nn.Sequential:
    """Return a network with code ``A c`` that computes the same function.

    The weights of the code are multiplied by A, those of the next layer by its inverse.

    Args:
        net: a bottleneck network without batch norm; left as it is.
        change: A, (H, H) and invertible.

    Raises:
        TypeError: the code is not linear.

    Example:
        >>> from mmlib.models.bottleneck import bottleneck
        >>> net, x = bottleneck(6, 3, width=8, code=2).double(), torch.randn(4, 6).double()
        >>> other = through_code(net, torch.diag(torch.tensor([100.0, 0.01])).double())
        >>> bool(torch.allclose(net(x), other(x)))
        True
    """
    net = deepcopy(net)
    names = [name for name, _ in net.named_children()]
    code = net.get_submodule("code")
    if not isinstance(code, nn.Linear):
        raise TypeError(f"net: expected a linear code, but got {type(code).__name__}")
    after = net.get_submodule(names[names.index("code") + 1])
    after = after if isinstance(after, nn.Linear) else after[0]
    with torch.no_grad():
        code.weight.copy_(change @ code.weight)
        code.bias.copy_(change @ code.bias)
        after.weight.copy_(torch.linalg.solve(change.T, after.weight.T).T)
    return net
