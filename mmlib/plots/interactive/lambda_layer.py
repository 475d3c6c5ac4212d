"""Two real examples, a layer and a weight: what networks predict for their mix.

The targets ask for a straight line from one class to the other; the figure shows beside it what
each network does between.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.mixing import mix_at, soft_cross_entropy, soft_targets
from mmlib.mixing.forward import eval_mode
from mmlib.plots.interactive.frame import Choice, Slider, interactive

if TYPE_CHECKING:
    from IPython.display import HTML

LAMS = tuple(round(0.05 * step, 2) for step in range(21))

_DRAW = """(data, state, stage) => {
  const { lams, names, classes, images } = data;
  const pair = data.pairs[state.pair], lam = lams[state.lam], layer = data.layers[state.layer];
  const cell = data.found[state.pair][state.layer];
  const [first, second] = pair.classes.map((k) => classes[k]);
  const share = (w) => Math.round(100 * w) + " %", pixel = "image-rendering:pixelated;";
  const tile = (inner, text) => `<div style="flex:1;text-align:center;min-width:0">
    <div style="position:relative;aspect-ratio:1;background:#f2f2f2;color:#22242b;border-radius:4px;
    display:grid;place-items:center;overflow:hidden">${inner}</div>${text}</div>`;
  const image = (i, k, more = "") => `<img alt="a ${classes[k]}"
    src="data:image/png;base64,${images[i]}" style="position:absolute;inset:0;width:100%;
    height:100%;border-radius:0;padding:0;filter:none;${pixel}${more}">`;
  const [a, b] = pair.images, [ka, kb] = pair.classes;
  const middle = layer === "input" ? image(b, kb) + image(a, ka, `opacity:${lam}`)
    : "no image:<br>a mixed state";
  let html = `<div style="grid-column:1/-1;display:flex;gap:8px;max-width:22rem">
    ${tile(image(b, kb), `${share(1 - lam)} of this ${second}`)}
    ${tile(middle, `mixed at<br>${layer}`)}
    ${tile(image(a, ka), `${share(lam)} of this ${first}`)}</div>`;
  const X = (l) => 30 + 250 * l, Y = (p) => 150 - 130 * p, said = [];
  names.forEach((name, n) => {
    const p = cell.p[n].map((row) => row.map((v) => v / 1000)), now = p[state.lam];
    const rest = (row) => Math.max(0, 1 - row[ka] - row[kb]);
    const line = (f, colour, dash) => `<polyline fill="none" stroke="${colour}" stroke-width="2"
      stroke-dasharray="${dash}" points="${p.map((row, i) => X(lams[i]) + "," + Y(f(row)))
      .join(" ")}"/>`;
    const straight = (y0, y1) => `<line x1="${X(0)}" y1="${Y(y0)}" x2="${X(1)}" y2="${Y(y1)}"
      stroke="#999" stroke-dasharray="2 3"/>`;
    const bars = now.map((v, k) => {
      const target = (k === ka) * lam + (k === kb) * (1 - lam), x = 32 + 25 * k * 10 / now.length;
      const wide = 190 / now.length;
      return `<rect x="${x}" y="${280 - 80 * v}" width="${wide}" height="${80 * v}"
        fill="${k === ka ? "#0072b2" : k === kb ? "#d55e00" : "#8c8c8c"}"/>` +
        (target ? `<rect x="${x - 1.5}" y="${280 - 80 * target}" width="${wide + 3}"
        height="${80 * target}" fill="none" stroke="#22242b" stroke-dasharray="3 2"/>` : "") +
        `<text x="${x + wide / 2}" y="293" text-anchor="middle">${classes[k]}</text>`;
    }).join("");
    const excess = (cell.excess[n][state.lam] / 1000).toFixed(3);
    html += `<svg viewBox="0 0 300 318"><text x="30" y="12"
      style="font-weight:bold">${name}</text>
      ${[0, 0.5, 1].map((v) => `<line x1="30" x2="280" y1="${Y(v)}" y2="${Y(v)}" stroke="#e6e6e6"/>
      <text x="26" y="${Y(v) + 4}" text-anchor="end">${v}</text>`).join("")}
      ${straight(0, 1)}${straight(1, 0)}
      ${line((r) => r[kb], "#d55e00", "7 3")}${line((r) => r[ka], "#0072b2", "0")}
      ${line(rest, "#8c8c8c", "2 2")}
      <line x1="${X(lam)}" x2="${X(lam)}" y1="20" y2="150" stroke="#22242b"/>
      <text x="30" y="164" style="fill:#a34700">λ = 0: ${second}</text>
      <text x="155" y="164" text-anchor="middle">dotted: others</text>
      <text x="280" y="164" text-anchor="end" style="fill:#0063a0">λ = 1: ${first}</text>
      <text x="30" y="186">probabilities at λ = ${lam.toFixed(2)}, dashed the target</text>${bars}
      <text x="30" y="313">loss above its floor: ${excess} nats</text></svg>`;
    said.push(`${name}: ${first} ${share(now[ka])}, ${second} ${share(now[kb])}, ` +
      `other classes ${share(rest(now))}, loss above its floor ${excess} nats`);
  });
  stage.innerHTML = html;
  return `Target: ${first} ${share(lam)}, ${second} ${share(1 - lam)}. ` + said.join(". ") + ".";
}"""


def lambda_layer(
    nets: Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    layers: Sequence[str],
    classes: Sequence[str],
    *,
    inputs: Callable[[Tensor], Tensor],
    start: str | None = None,
    caption: str = "",
) -> HTML:
    """Return a figure of what networks predict for mixes of pairs, by layer and weight.

    Args:
        nets: name -> a model of images; in eval mode while it is asked.
        x: (2 P, C, H, W) images as bytes, C of 1 or 3; 0 and 1 are the first pair, 2 and 3 the
            second.
        y: (2 P,) classes.
        layers: where to mix: ``"input"`` or dotted names of modules.
        classes: names of the classes.
        inputs: makes model inputs of bytes (`Dataset.inputs`).
        start: the layer shown first; None for the first one.
        caption: a sentence below.

    Raises:
        ValueError: no network or layer, images that are no bytes or no pairs, a pair of one class.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> page = lambda_layer({"net": net}, torch.eye(2).expand(2, 1, 2, 2).byte(),
        ...                     torch.tensor([0, 1]), ["input"], ["cat", "dog"],
        ...                     inputs=lambda images: images / 255)
        >>> "cat and dog" in page.data
        True
    """
    if not nets or not layers:
        raise ValueError(
            f"nets and layers: expected one or more, but got {len(nets)}, {len(layers)}"
        )
    first = layers.index(choice("start", start or layers[0], tuple(layers)))
    pairs = _pairs(x, y, classes)
    ready = inputs(x)
    twos = [slice(i, i + 2) for i in range(0, len(x), 2)]
    found = [
        [_between(nets, ready[two], y[two], layer, len(classes)) for layer in layers]
        for two in twos
    ]
    payload = {
        "lams": LAMS,
        "layers": list(layers),
        "names": list(nets),
        "classes": list(classes),
        "pairs": pairs,
        "images": [_image(one) for one in x],
        "found": found,
    }
    words = [" and ".join(classes[k] for k in pair["classes"]) for pair in pairs]
    controls = (
        Choice("pair", "examples", words),
        Choice("layer", "layer of the mix", layers, first),
        Slider("lam", "λ", [f"{lam:.2f}" for lam in LAMS], len(LAMS) // 2),
    )
    alt = (
        f"Two examples, {words[0]}, their mix, and for {' and '.join(nets)} the probability of "
        "both classes and of all others against lambda, beside the straight lines of the target."
    )
    return interactive(payload, controls, _DRAW, _still(payload, first), alt, caption=caption)


def _pairs(x: Tensor, y: Tensor, classes: Sequence[str]) -> list[dict[str, list[int]]]:
    fits = x.ndim == 4 and x.shape[1] in (1, 3) and len(x) == len(y) > 0 and len(x) % 2 == 0
    if not fits or x.dtype != torch.uint8:
        raise ValueError(
            "x: expected (2 P, C, H, W) uint8 images with C of 1 or 3 and as many classes, "
            f"but got {tuple(x.shape)} {x.dtype} and {len(y)}"
        )
    if int(y.min()) < 0 or int(y.max()) >= len(classes):
        raise ValueError(f"y: expected classes below {len(classes)}, but got {y.tolist()}")
    pairs = [{"classes": y[i : i + 2].tolist(), "images": [i, i + 1]} for i in range(0, len(x), 2)]
    same = [pair["images"] for pair in pairs if len(set(pair["classes"])) == 1]
    if same:
        raise ValueError(f"y: expected pairs of two classes, but got one class for {same[0]}")
    return pairs


@torch.no_grad()
def _between(
    nets: Mapping[str, nn.Module], x: Tensor, y: Tensor, layer: str, classes: int
) -> dict[str, list]:
    """Return probabilities (nets, L, K) and loss above its floor (nets, L), in thousandths."""
    found: dict[str, list] = {"p": [], "excess": []}
    ends = soft_targets(y, classes)
    targets = torch.stack([lam * ends[0] + (1 - lam) * ends[1] for lam in LAMS])
    floor = -torch.special.xlogy(targets, targets).sum(1)
    for net in nets.values():
        with eval_mode(net):
            logits = torch.stack([mix_at(net, x, layer, lam, torch.tensor([1, 0]))[0]
                                  for lam in LAMS])  # fmt: skip
        excess = soft_cross_entropy(logits, targets, reduction="none") - floor
        found["p"].append((1000 * logits.softmax(1)).round().int().tolist())
        found["excess"].append((1000 * excess).round().int().tolist())
    return found


def _image(one: Tensor) -> str:
    """Return an image (C, H, W) as a PNG, base64."""
    buffer, image = io.BytesIO(), one.cpu().permute(1, 2, 0).squeeze(-1).numpy()
    plt.imsave(buffer, image, cmap="gray", vmin=0, vmax=1, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def _still(payload: Mapping[str, Any], layer: int) -> Figure:
    """Draw the first pair: probabilities against lambda, a panel for each network."""
    names, (first, second) = payload["names"], payload["pairs"][0]["classes"]
    figure, axes = plt.subplots(1, len(names), figsize=(3.4 * len(names), 2.7), sharey=True,
                                squeeze=False)  # fmt: skip
    for ax, name, p in zip(axes[0], names, payload["found"][0][layer]["p"], strict=True):
        p = np.array(p) / 1000
        rest = 1 - p[:, first] - p[:, second]
        for y, colour, line, word in (
            (p[:, first], "#0072b2", "-", payload["classes"][first]),
            (p[:, second], "#d55e00", "--", payload["classes"][second]),
            (rest, "#8c8c8c", ":", "other classes"),
        ):
            ax.plot(LAMS, y, line, color=colour, label=word)
        ax.plot([0, 1, np.nan, 0, 1], [0, 1, np.nan, 1, 0], ":", color="#999999", lw=1,
                label="target")  # fmt: skip
        ax.set(xlabel="λ", title=f"{name}, mixed at {payload['layers'][layer]}")
    axes[0, 0].set_ylabel("probability")
    axes[0, 0].legend(fontsize=7.5)
    return figure
