"""The price of spread by quadrature, as a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmlib.measures.tightness import plain_floor, price_of_spread


def price(settings: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Return ``mixed_<sigma>``, the price of spread, and ``plain_<sigma>``, without mixing."""
    found = {}
    for sigma in settings["sigmas"]:
        found[f"mixed_{sigma:g}"] = price_of_spread(sigma, settings["alpha"], settings["nodes"])
        found[f"plain_{sigma:g}"] = plain_floor(sigma)
    return found
