"""Numbers of layers, as the papers count them."""

from __future__ import annotations

from torch import nn

from mmlib.checks import choice


def layers_before(model: nn.Module, site: str) -> int:
    """Return how many weight layers lie between the input and the output of a module.

    Convolutions and linear maps on the main path count, those of `site` included; convolutions in
    shortcuts do not. It is how Manifold Mixup (v1, appendix A) arrives at 34 layers before the
    output of the second residual layer of PreActResNet152: the stem, 3 x 3 and 8 x 3.

    Args:
        model: A model of `mmlib.models`: its modules run in the order of their registration.
        site: ``"input"`` or the name of a module, e.g. ``"layer2"`` or ``"layer1.0"``.

    Raises:
        ValueError: The model has no such module.

    Example:
        >>> from mmlib.models import PreActResNet18
        >>> net = PreActResNet18(width=8)
        >>> [layers_before(net, site) for site in ("input", "stem", "layer1", "layer2", "head")]
        [0, 1, 5, 9, 18]
    """
    names = [name for name, _ in model.named_modules() if name]
    if site not in names:  # a deep net has hundreds of modules: the message lists the outer ones
        choice("site", site, ("input", *(name for name in names if "." not in name)))
    last = max((i for i, name in enumerate(names) if f"{name}.".startswith(f"{site}.")), default=-1)
    return sum(
        isinstance(model.get_submodule(name), (nn.Conv2d, nn.Linear))
        and "shortcut" not in name.split(".")
        for name in names[: last + 1]
    )
