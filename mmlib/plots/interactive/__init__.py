"""Figures that answer a hand: controls and a script inside the output, no kernel, no network.

`frame` holds what they share, and each other module makes one figure: what is shown is computed
here in Python and stored in the output; a script only looks it up and draws it.
"""

from mmlib.plots.interactive.bottleneck_map import bottleneck_map
from mmlib.plots.interactive.coupling_slider import coupling_slider
from mmlib.plots.interactive.frame import Choice, Slider, interactive
from mmlib.plots.interactive.lambda_layer import lambda_layer

__all__ = [
    "Choice",
    "Slider",
    "bottleneck_map",
    "coupling_slider",
    "interactive",
    "lambda_layer",
]
