"""A row of pictures behind a slider, for a page that must work without kernel and network."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from mmlib.checks import integer

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["film"]

_PAGE = """<figure class="mm-film" id="{key}">
<img src="{first}" alt="{alt}" style="background: #ffffff; max-width: 100%; height: auto">
<div style="display: flex; gap: 0.6rem; align-items: center; font-family: sans-serif">
<button type="button" aria-label="play or pause" style="min-width: 3.6rem">play</button>
<input type="range" min="0" max="{last}" value="{start}" aria-label="{slider}" style="flex: 1">
<output style="min-width: 7rem; text-align: right">{label}</output>
</div>
<figcaption>{caption}</figcaption>
</figure>
<script>
(() => {{
  const root = document.getElementById("{key}");
  const frames = {frames}, labels = {labels};
  const [image, button, slider, output] =
    ["img", "button", "input", "output"].map((name) => root.querySelector(name));
  let timer = null;
  const show = (i) => {{
    image.src = "data:image/png;base64," + frames[i];
    slider.value = i;
    output.textContent = labels[i];
    slider.setAttribute("aria-valuetext", labels[i]);
  }};
  const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "play"; }};
  slider.addEventListener("input", () => {{ stop(); show(+slider.value); }});
  button.addEventListener("click", () => {{
    if (timer) return stop();
    button.textContent = "pause";
    if (+slider.value === frames.length - 1) show(0);
    timer = setInterval(() => {{
      if (+slider.value === frames.length - 1) return stop();
      show(+slider.value + 1);
    }}, {interval});
  }});
}})();
</script>"""


def film(
    frames: Sequence[Figure | np.ndarray],
    labels: Sequence[str],
    alt: str,
    *,
    caption: str = "",
    start: int = 0,
    interval: int = 300,
    dpi: int = 100,
) -> HTML:
    """Return a picture with a slider and a play button.

    All frames are inside the output, so it works in a built page opened from the disk, and no
    address is called. Without JavaScript the frame `start` is shown.

    Args:
        frames: Figures (which are closed), or (H, W) grey and (H, W, 3) colour images in [0, 1],
            which are shown pixel by pixel.
        labels: What each frame shows, e.g. ``"epoch 3"``.
        alt: What the picture shows, for those who cannot see it.
        caption: A sentence below the slider.
        start: The frame shown first.
        interval: Milliseconds per frame when played.
        dpi: Dots per inch of figures.

    Raises:
        ValueError: no frame, as many labels as frames are missing, `alt` is empty, an image has
            another shape.

    Example:
        >>> page = film([np.zeros((2, 2)), np.ones((2, 2))], ["black", "white"], "a square")
        >>> page.data.count("base64,"), "white" in page.data
        (2, True)
    """
    if not len(frames):
        raise ValueError("frames: expected at least one, but got none")
    if len(labels) != len(frames):
        raise ValueError(f"labels: expected {len(frames)}, one per frame, but got {len(labels)}")
    if not alt.strip():
        raise ValueError("alt: expected a description of the picture, but got none")
    from IPython.display import HTML  # here: pages and notebooks alone need it

    start = integer("start", start, low=0, high=len(frames) - 1)
    pictures = [base64.b64encode(_png(frame, dpi)).decode() for frame in frames]
    # The key depends on the contents alone, so that a notebook run twice is the same file.
    key = "film-" + hashlib.sha256("".join(pictures).encode()).hexdigest()[:12]
    return HTML(
        _PAGE.format(
            key=key,
            first=f"data:image/png;base64,{pictures[start]}",
            alt=html.escape(alt),
            slider=html.escape(f"frame, {labels[0]} to {labels[-1]}"),
            label=html.escape(labels[start]),
            caption=html.escape(caption),
            last=len(frames) - 1,
            start=start,
            frames=json.dumps(pictures),
            # "</" would end the script.
            labels=json.dumps(list(labels)).replace("</", "<\\/"),
            interval=integer("interval", interval, low=1),
        )
    )


def _png(frame: Figure | np.ndarray, dpi: int) -> bytes:
    buffer = io.BytesIO()
    if isinstance(frame, Figure):
        # Without a date in the file equal figures give equal bytes.
        frame.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        plt.close(frame)
        return buffer.getvalue()
    image = np.asarray(frame, dtype=float)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"frames: expected images (H, W) or (H, W, 3), but got {image.shape}")
    plt.imsave(buffer, np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1, format="png")
    return buffer.getvalue()
