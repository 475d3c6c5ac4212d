"""The frame of the one-file book: its own styles, its script, and the document around the pages."""

from __future__ import annotations

import json

DRIVER = """
(() => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = (paper) => { root.dataset.theme = dark.matches && !paper ? "dark" : "light"; };
  theme();
  dark.addEventListener("change", () => theme());
  const left = new Set(document.querySelectorAll(".math"));
  const set = async (some) => {
    const todo = some.filter((one) => left.delete(one));
    if (todo.length) await MathJax.typesetPromise(todo);
  };
  // Equations are set when they come near: all at once would take a long while.
  const near = new IntersectionObserver((seen) => MathJax.startup.promise.then(() =>
    set(seen.filter((one) => one.isIntersecting).map((one) => one.target))),
    { rootMargin: "1200px" });
  left.forEach((one) => near.observe(one));
  window.mmSetAll = async () => {
    theme(true);
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
    document.querySelectorAll(".dropdown.toggle-hidden").forEach((one) =>
      one.classList.remove("toggle-hidden"));
    await MathJax.startup.promise;
    await set([...left]);
  };
  addEventListener("beforeprint", () => { theme(true); });
  addEventListener("afterprint", () => theme());
})();
"""

_CSS = """
html { scroll-padding-top: 1rem; }
body { display: block; }
.mm-page { border-top: 3px double var(--pst-color-border); margin-top: 3rem; padding-top: 1rem; }
#contents { max-width: 54rem; margin: 2rem auto 0; padding: 0 1rem; font-family: var(--mm-sans); }
#contents p { font-weight: 650; margin: 0.8rem 0 0.2rem; }
#contents ol { list-style: none; padding-left: 1rem; margin: 0; }
#up { position: fixed; right: 0.8rem; bottom: 0.8rem; padding: 0.2rem 0.7rem; border-radius: 1rem;
  font: 0.85rem var(--mm-sans); background: var(--pst-color-surface);
  border: 1px solid var(--pst-color-border); }
.bd-main .bd-content .bd-article-container { margin: 0 auto; padding: 1rem; }
.admonition-title::after, .admonition > .admonition-title::after { content: none !important; }
@media print {
  @page { size: A4; }
  #up, .mm-filters, button { display: none !important; }
  html { font-size: 12px; }
  .mm-page { break-before: page; border: 0; margin: 0; }
  .bd-main .bd-content .bd-article-container { max-width: none; padding: 0; }
  figure, img, tr, .mm-card, mjx-container { break-inside: avoid; }
  h1, h2, h3, h4 { break-after: avoid; }
  .bd-main .bd-content .bd-article h1:first-of-type { display: block; }
  img, svg { max-width: 100% !important; max-height: 24cm; }
  pre, pre * { white-space: pre-wrap !important; overflow-wrap: anywhere; }
  .pst-scrollable-table-container, .mm-scroll, div.cell_output .output { overflow: visible; }
  .bd-article table { font-size: 0.78rem; width: auto; }
  .bd-article table :is(th, td) { overflow-wrap: anywhere; padding: 0.2rem 0.35rem; }
}
"""

_CONFIG = json.dumps({"startup": {"typeset": False}, "options": {"enableMenu": False}})

DOCUMENT = (
    """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="auto">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
<style>"""
    + _CSS.replace("{", "{{").replace("}", "}}")
    + """</style>
<script>window.MathJax = """
    + _CONFIG.replace("{", "{{").replace("}", "}}")
    + """;</script>
</head>
<body>
<nav id="contents" aria-label="Contents">{contents}</nav>
<main class="bd-main"><div class="bd-content"><div class="bd-article-container">
<div class="bd-article">
{body}
</div>
</div></div></main>
<a id="up" href="#contents">Contents</a>
{scripts}
{mathjax}
{driver}
</body>
</html>
"""
)
