"""The plane of a two-unit code: what the head says on the straight way between two classes.

Maps, codes and confidences are those of the recorded networks of chapter 09; the script looks up
where the mixed code lies.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.plots import look
from mmlib.plots.ch09 import CLASSES, plane
from mmlib.plots.interactive.frame import Choice, Slider, interactive
from mmlib.studies.ch09.experiments import PICTURED, SIDE

if TYPE_CHECKING:
    from IPython.display import HTML

LAMS = tuple(round(0.02 * step, 2) for step in range(51))
_LEVELS = 20  # of confidence in a map, see `mmlib.studies.ch09.experiments.picture`
_FRAMES = 11  # epochs of a network that is watched while it trains, at most
_POINTS = 125  # codes of each plane

_DRAW = """(data, state, stage, inputs) => {
  const net = data.nets[state.net], K = net.digits.length, S = data.side;
  const lam = data.lams[state.lam];
  const [epochInput, ...ends] = ["epoch", "from", "to"].map((name) =>
    inputs.find((input) => input.dataset.name === name));
  const ratio = state.epoch / +epochInput.max;  // the slider runs over any number of frames
  const frame = Math.round(ratio * (net.frames.length - 1));
  epochInput.nextElementSibling.textContent = net.frames[frame].label;
  epochInput.setAttribute("aria-valuetext", net.frames[frame].label);
  epochInput.disabled = net.frames.length === 1;
  for (const input of ends) {
    for (const option of input.options) {
      option.hidden = option.disabled = !net.digits.includes(+option.value);
    }
    if (input.selectedOptions[0].disabled) {
      input.value = net.digits[input === ends[0] ? 0 : K - 1];
    }
  }
  const [from, to] = ends.map((input) => net.digits.indexOf(+input.value));
  const colour = (k) => data.colours[net.digits[k]];
  const rgb = (k) => [1, 3, 5].map((i) => parseInt(colour(k).slice(i, i + 2), 16));
  const sure = (level) => 1 / K + (1 - 1 / K) * (level + 0.5) / data.levels;
  const at = ([x, y]) => [150 + 0.15 * x, 150 - 0.15 * y];  // thousandths of the half side
  const said = [], maps = [];
  stage.innerHTML = net.frames[frame].planes.map((plane) => {
    const bytes = Uint8Array.from(atob(plane.map), (c) => c.charCodeAt(0));
    const [a, b] = [plane.centres[to], plane.centres[from]];
    const place = (l) => [0, 1].map((d) => l * a[d] + (1 - l) * b[d]);
    const square = (x, y) => bytes[Math.min(S - 1, Math.max(0, y)) * S +
      Math.min(S - 1, Math.max(0, x))];
    const head = (p) => {  // class and probability, interpolated between the middles of squares
      const [x, y] = p.map((v) => (v + 1000) * S / 2000 - 0.5), votes = Array(K).fill(0);
      const [i, j] = [Math.floor(x), Math.floor(y)];
      for (const [dx, dy] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
        const v = square(i + dx, j + dy);
        votes[Math.floor(v / data.levels)] += sure(v % data.levels) *
          (1 - Math.abs(x - i - dx)) * (1 - Math.abs(y - j - dy));
      }
      const p1 = Math.max(...votes);
      return [votes.indexOf(p1), Math.max(1 / K, p1)];
    };
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = S;
    const pen = canvas.getContext("2d"), image = pen.createImageData(S, S);
    bytes.forEach((v, i) => {
      const deep = 0.12 + 0.5 * (v % data.levels) / (data.levels - 1);
      const where = 4 * ((S - 1 - Math.floor(i / S)) * S + i % S);
      rgb(Math.floor(v / data.levels)).forEach((c, d) => {
        image.data[where + d] = 255 - (255 - c) * deep;
      });
      image.data[where + 3] = 255;
    });
    pen.putImageData(image, 0, 0);
    maps.push(canvas.toDataURL());
    const dots = plane.points.map((p, i) => Math.max(...p.map(Math.abs)) > 1000 ? "" :
      `<circle cx="${at(p)[0]}" cy="${at(p)[1]}" r="2.2" fill="${colour(net.labels[i])}"
      stroke="#fff" stroke-width="0.5"/>`).join("");
    const named = plane.centres.map((p, k) => {
      const [x, y] = at(p).map((v) => Math.min(291, Math.max(9, v)));
      return `<circle cx="${x}" cy="${y}" r="8" fill="#fff" fill-opacity="0.85"/><text x="${x}"
        y="${y + 4}" text-anchor="middle" style="font-weight:bold">${net.digits[k]}</text>`;
    }).join("");
    const steps = 100, runs = [];
    for (let i = 0; i <= steps; i++) {
      const [k] = head(place(i / steps)), last = runs[runs.length - 1];
      if (last && last[0] === k) last[2] = i; else runs.push([k, i, i]);
    }
    const X = (v) => 10 + 280 * v / (steps + 1);
    const ribbon = runs.map(([k, i, j]) => `<rect x="${X(i)}" y="308" width="${X(j + 1) - X(i)}"
      height="18" fill="${colour(k)}" fill-opacity="0.45"/>` + (j - i > 3 ? `<text
      x="${(X(i) + X(j + 1)) / 2}" y="321" text-anchor="middle"
      style="font-weight:bold">${net.digits[k]}</text>` : "")).join("");
    const [[x, y], [k, p]] = [at(place(lam)), head(place(lam))];
    const way = runs.map(([k]) => net.digits[k]).join(" → ");
    said.push(`${plane.name}: the head says ${net.digits[k]} with ${p.toFixed(2)}, ` +
      `on the way ${way}`);
    return `<svg viewBox="0 0 300 366">
      <image width="300" height="300"/>${dots}${named}
      <path d="M${at(b)}L${at(a)}" stroke="#22242b" stroke-width="1.5"/>
      <circle cx="${x}" cy="${y}" r="6" fill="${colour(k)}" stroke="#22242b" stroke-width="2.5"/>
      <rect x="4" y="4" width="${8 + 7.6 * plane.name.length}" height="17" fill="#fff"/>
      <text x="8" y="16" style="font-weight:bold">${plane.name}</text>${ribbon}
      <path d="M${10 + 280 * lam} 303v28" stroke="#22242b" stroke-width="2"/>
      <rect x="10" y="338" width="280" height="10" fill="#e6e6e6"/>
      <rect x="10" y="338" width="${280 * p}" height="10" fill="${colour(k)}"/>
      <text x="10" y="362">here: ${net.digits[k]}, probability about ${p.toFixed(2)}</text></svg>`;
  }).join("");
  stage.querySelectorAll("image").forEach((one, i) => one.setAttribute("href", maps[i]));
  return said.join("; ") + ".";
}"""


def bottleneck_map(
    nets: Mapping[str, tuple[Runs, int]], *, ends: tuple[int, int], caption: str = ""
) -> HTML:
    """Return a figure of the head's classes on the way between the codes of two digits.

    Args:
        nets: title -> (runs of `mmlib.studies.ch09.PLANE` or ``WATCH``, a row of them). All rows
            have codes of two units and at least one pictured method; one with frames can be watched
            while it trains.
        ends: the digits chosen first; the first network has both.
        caption: a sentence below.

    Raises:
        ValueError: no network, codes that are not in the plane, or ends that the first network
            does not have.

    Example:
        >>> from mmlib.studies import ch09
        >>> bottleneck_map({}, ends=(0, 1))
        Traceback (most recent call last):
        ValueError: nets: expected at least one, but got none
    """
    if not nets:
        raise ValueError("nets: expected at least one, but got none")
    found = [_net(title, runs, row) for title, (runs, row) in nets.items()]
    first = found[0]
    if len(set(ends)) != 2 or not set(ends) <= set(first["digits"]):
        raise ValueError(f"ends: expected two of {first['digits']}, but got {ends}")
    payload = {"nets": found, "lams": LAMS, "side": SIDE, "levels": _LEVELS, "colours": CLASSES}
    frames = max(len(net["frames"]) for net in found)
    digits = [str(digit) for digit in range(len(CLASSES))]
    controls = [
        Choice("net", "network", list(nets)),
        Choice("from", "from", digits, ends[0]),
        Choice("to", "to", digits, ends[1]),
        Slider("lam", "λ", [f"{lam:.2f}" for lam in LAMS], len(LAMS) // 2),
        Slider("epoch", "training", [f"{i + 1} of {frames}" for i in range(frames)], frames - 1),
    ]
    names = ", ".join(plane["name"] for plane in first["frames"][0]["planes"])
    alt = (
        f"The plane of the code for {names}: tinted by the class that the head says, codes of test "
        f"images as dots, and a straight line between two classes with the classes met on it."
    )
    return interactive(payload, controls, _DRAW, _still(nets), alt, caption=caption)


def _settings(runs: Runs, row: int) -> tuple[Mapping[str, Any], list[str]]:
    settings = runs.table.loc[row]
    shown = [name for name in PICTURED if name in settings["methods"]]
    if settings["code"] != 2 or not shown:
        raise ValueError(
            f"nets: expected codes of 2 units and one of {', '.join(PICTURED)}, but got "
            f"{settings['code']} units and {', '.join(settings['methods'])}"
        )
    return settings, shown


def _net(title: str, runs: Runs, row: int) -> dict[str, Any]:
    """Return what the script needs of one network, a frame for each epoch that is kept."""
    settings, shown = _settings(runs, row)
    arrays = runs.arrays(row)
    parts = {key: arrays[key] for key in ("regions", "box", "points")}
    epochs = np.array([settings["epochs"]])
    if settings["frames"]:
        last = len(arrays["regions"]) - 1
        epochs = np.unique(np.linspace(0, last, min(_FRAMES, last + 1)).round().astype(int))
        parts = {key: value[epochs] for key, value in parts.items()}
    else:
        parts = {key: value[None] for key, value in parts.items()}
    step = max(1, len(arrays["labels"]) // _POINTS)
    frames = [
        {
            "label": f"epoch {epoch}",
            "planes": [
                _plane(
                    look(name).label,
                    *(parts[key][i, j] for key in ("regions", "box", "points")),
                    arrays["labels"], len(settings["digits"]), step,
                )
                for j, name in enumerate(shown)
            ],
        }
        for i, epoch in enumerate(epochs)
    ]  # fmt: skip
    digits = [int(digit) for digit in settings["digits"]]
    return {
        "title": title,
        "digits": digits,
        "labels": arrays["labels"][::step].tolist(),
        "frames": frames,
    }


def _plane(
    name: str, regions: np.ndarray, box: np.ndarray, codes: np.ndarray, labels: np.ndarray,
    classes: int, step: int,
) -> dict[str, Any]:  # fmt: skip
    """Return one plane in thousandths of half the side of its box, the centre at 0."""
    places = (1000 * (codes - box[:2]) / box[2]).round()
    centres = [np.median(places[labels == k], axis=0) for k in range(classes)]
    return {
        "name": name,
        "map": base64.b64encode(np.ascontiguousarray(regions)).decode(),
        "centres": [[round(float(v)) for v in centre] for centre in centres],
        "points": places[::step].astype(int).tolist(),
    }


def _still(nets: Mapping[str, tuple[Runs, int]]) -> Figure:
    """Draw the planes of the first network after training."""
    runs, row = next(iter(nets.values()))
    settings, shown = _settings(runs, row)
    arrays = runs.arrays(row)
    figure = Figure(figsize=(2.4 * len(shown), 2.7), layout="constrained")
    axes: Sequence = figure.subplots(1, len(shown), squeeze=False)[0]
    for j, (ax, name) in enumerate(zip(axes, shown, strict=True)):
        kept = (-1, j) if settings["frames"] else (j,)
        parts = (arrays[key][kept] for key in ("regions", "box", "points"))
        plane(ax, *parts, arrays["labels"], settings["digits"])
        ax.set_title(look(name).label, fontsize=9)
    return figure
