"""The couplings of k-mixup on toy sets: partners for each k, and mixes that move with lambda.

Pairs come from `mmlib.mixing.OptimalPairing` and numbers from the measures of chapter 13; the
script only places points between partners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from mmlib.checks import integer
from mmlib.plots.interactive.frame import Choice, Slider, interactive
from mmlib.studies.ch13 import fields
from mmlib.studies.ch13.couplings import Pairs, independent_pairs, intrusion, mixes, shapes

if TYPE_CHECKING:
    from IPython.display import HTML

LAMS = tuple(round(0.05 * step, 2) for step in range(21))
_COLOURS = ("#174a7e", "#e6912c")
_SIDE = 60  # squares across the picture of the true labels

_DRAW = """(data, state, stage) => {
  const toy = data.toys[state.toy], one = toy.trials[state.seed], now = one.ks[state.k];
  const k = data.ks[state.k], lam = data.lams[state.lam], N = one.first.length;
  const at = ([x, y]) => [180 + 0.18 * x, 180 - 0.18 * y];  // thousandths of the half side
  const mid = (i) => {
    const [a, b] = [at(one.first[i]), at(one.second[now.partner[i]])];
    return [0, 1].map((d) => lam * a[d] + (1 - lam) * b[d]);
  };
  const shade = (w) => `rgb(${[[23, 230], [74, 145], [126, 44]]
    .map(([c, d]) => Math.round((1 - w) * c + w * d))})`;
  const mark = ([x, y], label, size, more) => label
    ? `<path d="M${x} ${y - size}l${size} ${1.8 * size}h${-2 * size}z" ${more}/>`
    : `<circle cx="${x}" cy="${y}" r="${size}" ${more}/>`;
  let lines = "", ends = "", mixed = "";
  for (let i = 0; i < N; i++) {
    const j = now.partner[i], [a, b] = [at(one.first[i]), at(one.second[j])];
    const [la, lb] = [one.labels[0][i], one.labels[1][j]], target = lam * la + (1 - lam) * lb;
    lines += `<path d="M${a}L${b}" stroke="${la === lb ? "#999" : "#22242b"}"/>`;
    const faint = (l) => `fill="${shade(l)}" fill-opacity="0.35"`;
    ends += mark(a, la, 3, faint(la)) + mark(b, lb, 3, faint(lb));
    mixed += mark(mid(i), target > 0.5, 4.5,
      `fill="${shade(target)}" stroke="#22242b" stroke-width="0.8"`);
  }
  const bars = (rows, title, digits, top) => `<text x="0" y="${top}">${title}</text>` +
    rows.map((v, i) => {
      const y = top + 7 + 17 * i, here = i === state.k, most = Math.max(1e-9, ...rows);
      return `<text x="46" y="${y + 11}" text-anchor="end"
        ${here ? 'style="font-weight:bold"' : ""}>k = ${data.ks[i]}</text>
        <rect x="52" y="${y}" width="${190 * v / most}" height="13"
        fill="${here ? "#174a7e" : "#b9c4d0"}"/>
        <text x="${58 + 190 * v / most}" y="${y + 11}">${v.toFixed(digits)}</text>`;
    }).join("");
  const squares = one.ks.map((v) => v.square), wrong = one.ks.map((v) => v.wrong[state.lam]);
  const gap = 17 * data.ks.length + 32;
  stage.innerHTML = `<svg viewBox="0 0 360 360"><path d="${toy.region}" fill="#e6912c"
    fill-opacity="0.13" transform="translate(0 360) scale(6 -6)"/>
    <g stroke-width="0.9">${lines}</g>${ends}${mixed}</svg>
    <svg viewBox="0 0 300 ${2 * gap + 12}">
    ${bars(squares, "mean squared length of a pair", 3, 12)}
    ${bars(wrong, `mixed points with the wrong label, %, at λ = ${lam.toFixed(2)}`, 0, 12 + gap)}
    </svg>`;
  return `k = ${k}: mean squared length of a pair ${now.square.toFixed(3)}, so a set of ${k} ` +
    `costs ${(k * now.square).toFixed(2)}; ${now.cross.toFixed(0)} % of the ${N} pairs join two ` +
    `classes; at λ = ${lam.toFixed(2)}, ${now.wrong[state.lam].toFixed(0)} % of the mixed ` +
    `points have the wrong label.`;
}"""


def coupling_slider(
    toys: Sequence[str],
    ks: Sequence[int],
    *,
    n: int = 512,
    shown: int = 64,
    seeds: Sequence[int] = (0, 1, 2),
    caption: str = "",
) -> HTML:
    """Return a figure of the pairs of k-mixup by toy set, trial, k and lambda.

    Args:
        toys: names of the sets.
        ks: sizes of the matched sets; each divides `shown`, so that whole sets are shown.
        n: points of a set, of which two independent orders are matched.
        shown: pairs drawn and counted.
        seeds: of the points and orders.
        caption: a sentence below.

    Raises:
        ValueError: no set, k or seed, an unknown set, a k that does not divide `shown`, or `shown`
            above n.

    Example:
        >>> page = coupling_slider(["four_bars"], [1, 4], n=16, shown=8, seeds=[0])
        >>> page.data.count("<select"), "k = 4" in page.data
        (2, True)
    """
    if not (len(toys) and len(ks) and len(seeds)):
        raise ValueError(
            f"toys, ks and seeds: expected at least one each, but got {list(toys)}, {list(ks)}, "
            f"{list(seeds)}"
        )
    shown = integer("shown", shown, low=1, high=n)
    for k in ks:
        if shown % integer("k", k, low=1):
            raise ValueError(f"ks: expected divisors of the {shown} pairs shown, but got {k}")
    payload = {
        "lams": LAMS,
        "ks": list(ks),
        "toys": [
            {"region": _region(toy), "trials": [_trial(toy, ks, n, shown, s) for s in seeds]}
            for toy in toys
        ],
    }
    first = list(toys).index("four_bars") if "four_bars" in toys else 0
    controls = (
        Choice("toy", "set", [fields.TITLES[toy] for toy in toys], first),
        Choice("seed", "trial", [f"seed {seed}" for seed in seeds]),
        Slider("k", "k", [f"k = {k}" for k in ks]),
        Slider("lam", "λ", [f"{lam:.2f}" for lam in LAMS], len(LAMS) // 2),
    )
    alt = (
        f"Two sets of points on {', '.join(fields.TITLES[toy] for toy in toys)}, lines between "
        "partners, and mixed points on the lines; bars of the length of a pair and of the share "
        "of wrong labels for each k."
    )
    still = _still(payload["toys"][first], [0, len(ks) - 1], ks)
    return interactive(payload, controls, _DRAW, still, alt, caption=caption)


def _trial(toy: str, ks: Sequence[int], n: int, shown: int, seed: int) -> dict[str, Any]:
    """Return the points of both orders, and for each k the partners and what is measured."""
    x, y, _, _ = fields.points(toy, n, 2, seed)
    whole = {k: Pairs(*(part[:shown] for part in independent_pairs(x, k, 1, seed))) for k in ks}
    first, second = whole[ks[0]]
    place = {int(j): i for i, j in enumerate(second)}
    found = []
    for pairs in whole.values():
        seen = shapes(toy, x, y, pairs)
        lams = [torch.full((shown,), lam, dtype=torch.float64) for lam in LAMS]
        wrong = [intrusion(toy, mixes(x, y, pairs, lam))["wrong"] for lam in lams]
        found.append(
            {
                "partner": [place[int(j)] for j in pairs.second],
                "square": round(seen["square"], 4),
                "cross": round(seen["cross"], 2),
                "wrong": [round(share, 2) for share in wrong],
            }
        )
    scale = 1000 / fields.LIMITS[toy]
    ends = [(scale * x[part]).round().int().tolist() for part in (first, second)]
    return {
        "first": ends[0],
        "second": ends[1],
        "labels": [y[first].tolist(), y[second].tolist()],
        "ks": found,
    }


def _region(toy: str) -> str:
    """Return the places whose true label is 1 as a path of squares, row by row from below."""
    label = fields.field(toy).at(fields.region(toy, _SIDE))[1].reshape(_SIDE, _SIDE)
    path = []
    for row, line in enumerate(np.pad(label, ((0, 0), (1, 1)))):
        edges = np.flatnonzero(np.diff(line))
        path += [f"M{a} {row}h{b - a}v1h{a - b}z" for a, b in edges.reshape(-1, 2).tolist()]
    return "".join(path)


def _still(toy: dict[str, Any], which: Sequence[int], ks: Sequence[int]) -> Figure:
    """Draw the first trial half way, for the smallest and the largest k."""
    trial = toy["trials"][0]
    first, second = np.array(trial["first"]), np.array(trial["second"])
    figure, axes = plt.subplots(1, len(which), figsize=(3.1 * len(which), 3.2), squeeze=False)
    for ax, i in zip(axes[0], which, strict=True):
        partner = np.array(trial["ks"][i]["partner"])
        ends = np.stack([first, second[partner]], 1)
        target = (np.array(trial["labels"][0]) + np.array(trial["labels"][1])[partner]) / 2
        cross = target == 0.5
        for chosen, colour in ((~cross, "#999999"), (cross, "#22242b")):
            ax.add_collection(LineCollection(ends[chosen], colors=colour, linewidths=0.7))
        for label, marker in ((0.0, "o"), (0.5, "s"), (1.0, "^")):
            own = ends[target == label].mean(1)
            colour = "#7f6e55" if label == 0.5 else _COLOURS[int(label)]
            ax.scatter(*own.T, s=16, c=colour, marker=marker, zorder=3)
        ax.set(xlim=(-1000, 1000), ylim=(-1000, 1000), aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"k = {ks[i]}, λ = 0.5")
        ax.grid(False)
    return figure
