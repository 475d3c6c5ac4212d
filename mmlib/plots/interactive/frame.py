"""What every interactive figure shares: controls, a still picture, and the script that joins them.

The output is one piece of HTML. Without a script, and on paper, the still picture is shown.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from mmlib.checks import integer

if TYPE_CHECKING:
    from IPython.display import HTML

# Colours of the page where it has a theme; a notebook elsewhere has none, hence the second values.
_STYLE = """
.mm-live { margin: 1.2rem 0; font: 0.9rem/1.45 var(--mm-sans, sans-serif); }
.mm-live [hidden] { display: none; }
.mm-live-controls { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; margin-bottom: 0.6rem; }
.mm-live-controls label { display: flex; flex-wrap: wrap; gap: 0.2rem 0.5rem; align-items: center; }
.mm-live-controls label:has(input) { flex: 1 1 15rem; }
.mm-live-controls input { flex: 1 1 8rem; min-width: 6rem; accent-color: #7a6fd8; }
.mm-live-controls output { min-width: 4.5rem; font-variant-numeric: tabular-nums; }
.mm-live-controls select { font: inherit; max-width: 100%; padding: 0.1rem 0.3rem; color: inherit;
  background: var(--pst-color-background, #fff); border-radius: 0.3rem;
  border: 1px solid var(--pst-color-text-muted, #767676); }
.mm-live-stage { display: grid; gap: 0.6rem 1rem; padding: 0.6rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr));
  color: #22242b; background: #fff; border: 1px solid var(--pst-color-border, #ccc);
  border-radius: 0.4rem; font-variant-numeric: tabular-nums; }
.mm-live-stage > * { min-width: 0; max-width: 26rem; }
.mm-live-stage svg { display: block; width: 100%; height: auto; }
.mm-live-stage text { font: 11px var(--mm-sans, sans-serif); fill: #22242b; }
.mm-live-words { min-height: 3em; margin: 0.5rem 0; max-width: none; }
.mm-live-still { background: #fff; max-width: 100%; height: auto; }
.mm-live-on .mm-live-still { display: none; }
@media print {
  .mm-live :is(.mm-live-controls, .mm-live-stage, .mm-live-words) { display: none !important; }
  .mm-live.mm-live-on .mm-live-still { display: block; }
}
""".strip()

_PAGE = """<figure class="mm-live" id="{key}">
<style>{style}</style>
<div class="mm-live-controls" hidden>{controls}</div>
<div class="mm-live-stage" role="img" aria-label="{alt}" hidden></div>
<p class="mm-live-words" role="status" hidden></p>
<img class="mm-live-still" src="data:image/png;base64,{still}" alt="{alt}">
<figcaption>{caption}</figcaption>
<script type="application/json">{payload}</script>
<script>
(() => {{
  const root = document.getElementById("{key}");
  const one = (name) => root.querySelector(name);
  const data = JSON.parse(one('script[type="application/json"]').textContent);
  const [stage, words] = [one(".mm-live-stage"), one(".mm-live-words")];
  const inputs = [...root.querySelectorAll("[data-name]")];
  const draw = {draw};
  const show = () => {{
    const state = {{}};
    for (const input of inputs) {{
      const i = state[input.dataset.name] = +input.value;
      if (input.type === "range") {{
        const label = JSON.parse(input.dataset.labels)[i];
        input.setAttribute("aria-valuetext", label);
        input.nextElementSibling.textContent = label;
      }}
    }}
    words.textContent = draw(data, state, stage, inputs);
  }};
  for (const input of inputs) input.addEventListener("input", show);
  for (const part of root.querySelectorAll("[hidden]")) part.hidden = false;
  root.classList.add("mm-live-on");
  show();
}})();
</script>
</figure>"""


@dataclass(frozen=True)
class Choice:
    """A list to choose from; its value is the index of an option.

    Attributes:
        name: under which the script finds the value.
        label: what is written before it.
        options: what can be chosen.
        start: the index chosen first.
    """

    name: str
    label: str
    options: Sequence[str]
    start: int = 0

    def __post_init__(self) -> None:
        """Refuse an empty list and a start outside of it."""
        if not self.options:
            raise ValueError(f"{self.name}: expected at least one option, but got none")
        integer(f"start of {self.name}", self.start, low=0, high=len(self.options) - 1)

    def html(self) -> str:
        """Return the labelled control."""
        chosen = (" selected" if i == self.start else "" for i in range(len(self.options)))
        options = "".join(
            f'<option value="{i}"{mark}>{html.escape(option)}</option>'
            for i, (option, mark) in enumerate(zip(self.options, chosen, strict=True))
        )
        name, label = html.escape(self.name), html.escape(self.label)
        # The start is the page's, also after a reload, where a browser would restore the last one.
        return (
            f'<label>{label} <select data-name="{name}" autocomplete="off">{options}</select>'
            "</label>"
        )


@dataclass(frozen=True)
class Slider(Choice):
    """A slider over the options, whose labels are told to eye and ear."""

    def html(self) -> str:
        """Return the labelled control."""
        labels = html.escape(json.dumps(list(self.options)))
        name, label = html.escape(self.name), html.escape(self.label)
        return (
            f'<label>{label} <input type="range" min="0" max="{len(self.options) - 1}" step="1" '
            f'value="{self.start}" data-name="{name}" data-labels="{labels}" autocomplete="off">'
            f"<output>{html.escape(self.options[self.start])}</output></label>"
        )


def interactive(
    payload: Any,
    controls: Sequence[Choice],
    draw: str,
    still: Figure,
    alt: str,
    *,
    caption: str = "",
    dpi: int = 90,
) -> HTML:
    """Return a figure that its controls move, in a page without kernel and network.

    Args:
        payload: what the script draws from; anything that JSON can hold.
        controls: sliders and lists, each with a name of its own.
        draw: a JavaScript function ``(data, state, stage, inputs) => words`` that fills the element
            `stage` and returns a sentence for readers who do not see it; `state` holds the index of
            each control.
        still: shown without a script and on paper (it is closed).
        alt: what the figure shows, for those who cannot see it.
        caption: a sentence below.
        dpi: dots per inch of the still picture.

    Raises:
        ValueError: no control, two of one name, `alt` is empty, or the payload is not JSON.

    Example:
        >>> figure, ax = plt.subplots(figsize=(1, 1))
        >>> step = Slider("step", "step", ["first", "second"])
        >>> page = interactive([1, 2], [step], "(d, s) => d[s.step]", figure, "two numbers")
        >>> "[1,2]" in page.data, page.data.count("<label>")
        (True, 1)
    """
    from IPython.display import HTML  # here: pages and notebooks alone need it

    if not controls:
        raise ValueError("controls: expected at least one, but got none")
    names = [control.name for control in controls]
    if len(set(names)) < len(names):
        raise ValueError(f"controls: expected a name each, but got {', '.join(names)}")
    if not alt.strip():
        raise ValueError("alt: expected a description of the figure, but got none")
    try:
        packed = json.dumps(payload, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"payload: expected what JSON can hold, but {error}") from None
    # "<" could end the script or begin a comment in it.
    packed = packed.replace("<", "\\u003c")
    # The key depends on the contents alone, so that a notebook run twice is the same file.
    key = "live-" + hashlib.sha256((packed + draw).encode()).hexdigest()[:12]
    return HTML(
        _PAGE.format(
            key=key,
            style=_STYLE,
            controls="".join(control.html() for control in controls),
            alt=html.escape(alt),
            still=base64.b64encode(_png(still, dpi)).decode(),
            caption=html.escape(caption),
            payload=packed,
            draw=draw.strip(),
        )
    )


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    # Without a date in the file equal figures give equal bytes.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
