"""Two things timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def compare(a: Callable, b: Callable, rounds: int, aim: float, *, at_most: bool = True) -> dict:
    """Return the median ratio time(a) / time(b) with an interval; a and b take turns first."""
    for function in (a, b, a, b):
        function()
    ratios = []
    for i in range(rounds):
        seconds = {}
        for function in (a, b) if i % 2 else (b, a):
            start = time.process_time()
            function()
            seconds[function] = time.process_time() - start
        ratios.append(seconds[a] / seconds[b])
    ratios.sort()
    middle = statistics.median(ratios)
    reach = round(0.98 * len(ratios) ** 0.5)  # 1.96 standard deviations of a binomial rank
    low = ratios[max(0, len(ratios) // 2 - reach)]
    high = ratios[min(len(ratios) - 1, len(ratios) // 2 + reach)]
    ok = middle <= aim if at_most else middle >= aim
    words = f"at most {aim}" if at_most else f"at least {aim}"
    return {"ratio": middle, "low": low, "high": high, "n": rounds, "aim": words, "ok": ok}
