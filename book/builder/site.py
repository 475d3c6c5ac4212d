"""The staging tree, Sphinx, and the checks of the finished pages."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import yaml

from builder import gate, typed
from builder.layout import BuildError, Layout, replace_folder, write_if_changed
from builder.pages import Book, failed_page, failure_note, render

STATIC = ("_static", "_templates")
# Of MathJax only what a page asks for: the TeX input, the HTML output, its fonts.
MATHJAX_KEEP = re.compile(r"^(tex-chtml\.js|output/chtml/.*|input/tex/extensions/.*)$")
# Thebe runs cells on a server elsewhere; Jupyter Book adds its scripts to every page regardless.
THEBE = re.compile(
    r"""<script>const\ THEBE_JS_URL.*?</script>
      | <script\ type="text/x-thebe-config">.*?</script>
      | <script[^>]*sphinx-thebe\.js[^>]*></script>
      | <link[^>]*sphinx-thebe\.css[^>]*>""",
    re.S | re.X,
)

# What the theme writes and a screen reader stumbles over: a control without a name, a former role.
MENDED = (
    (
        '<summary><span class="toctree-toggle"',
        '<summary aria-label="pages of this part"><span class="toctree-toggle"',
    ),
    ('role="doc-biblioentry"', 'role="listitem"'),
)


def publish(book: Book) -> list[str]:
    """Stage, build and check; return what went wrong. The finished book replaces the old one."""
    stage(book)
    scratch = book.layout.build / "sphinx"
    shutil.rmtree(scratch, ignore_errors=True)
    failures = book.ledger[1] + _typed_pages(book) + _sphinx(book.layout, scratch)
    fresh = scratch / "_build" / "html"
    # The index is written after all pages: without it Sphinx was cut off, on a full disk perhaps.
    if not (fresh / "searchindex.js").is_file():
        return failures or ["Sphinx did not write all pages (see _build/sphinx.log)"]
    _prune(fresh)
    failures += check(fresh)
    replace_folder(fresh, book.layout.html)
    return failures


def _typed_pages(book: Book) -> list[str]:
    if book.profile == "smoke":  # other numbers than those beside which the pages were written
        return []
    layout = book.layout
    names = [name for name in layout.toc_files() if not name.startswith("notebooks/")]
    texts = {f"{name}.md": (layout.root / f"{name}.md").read_text("utf-8") for name in names}
    return typed.page_problems(texts, layout.executed(book.profile), layout.root)


def stage(book: Book) -> None:
    """Lay out everything Sphinx reads, as in the repository.

    Raises:
        BuildError: a page uses a name that does not exist, or breaks a rule of the gate.
    """
    layout, wanted = book.layout, set()
    context = book.context()
    for name in layout.toc_files():
        if name.startswith("notebooks/"):
            continue
        source = layout.root / f"{name}.md"
        if not source.is_file():
            raise BuildError(f"_toc.yml names {name}, but {name}.md does not exist")
        text = source.read_text(encoding="utf-8")
        found = gate.markdown_problems(text)
        if found:
            raise BuildError(f"{name}.md: {'; '.join(found)}")
        wanted.add(layout.stage / f"{name}.md")
        write_if_changed(layout.stage / f"{name}.md", render(text, context, f"{name}.md"))
    for path in layout.notebooks():
        wanted.add(_stage_notebook(book, path))
    config = staged_config(layout)
    for name, text in (
        ("_config.yml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True)),
        ("_toc.yml", (layout.root / "_toc.yml").read_text(encoding="utf-8")),
        ("book/references.bib", (layout.root / "book/references.bib").read_text(encoding="utf-8")),
    ):
        wanted.add(layout.stage / name)
        write_if_changed(layout.stage / name, text)
    for name in STATIC:
        shutil.rmtree(layout.stage / "book" / name, ignore_errors=True)
        shutil.copytree(layout.root / "book" / name, layout.stage / "book" / name)
    for name, text in book.downloads().items():
        write_if_changed(layout.stage / "book" / "_static" / name, text)
    for path in layout.stage.rglob("*"):
        if path.is_file() and path not in wanted and not set(path.parts) & set(STATIC):
            path.unlink()


def _stage_notebook(book: Book, source: Path) -> Path:
    layout = book.layout
    reason = book.failures.get(source.stem, "")
    done = layout.executed(book.profile) / source.name
    if not done.is_file():
        target = layout.stage / "notebooks" / f"{source.stem}.md"
        write_if_changed(target, failed_page(source, reason or "it was never executed"))
        return target
    target = layout.stage / "notebooks" / source.name
    notebook = gate.clean(nbformat.read(done, as_version=4), nbformat.read(source, as_version=4))
    if reason:
        note = nbformat.v4.new_markdown_cell(failure_note(reason), id="failure-note")
        notebook.cells.insert(1, note)
    write_if_changed(target, nbformat.writes(notebook) + "\n")
    return target


def staged_config(layout: Layout) -> dict:
    """The configuration for Sphinx; buttons that need the repository's address wait for it."""
    config = layout.config
    if not config.get("repository", {}).get("url"):
        config.pop("repository", None)
        config.pop("launch_buttons", None)
        buttons = config["html"]
        for name in ("use_issues_button", "use_repository_button", "use_edit_page_button"):
            buttons[name] = False
    return config


def _sphinx(layout: Layout, scratch: Path) -> list[str]:
    """Run jupyter-book with execution off and warnings as errors; return the warnings."""
    entry = "from jupyter_book.cli.main import main; main()"  # the package has no __main__
    command = [sys.executable, "-c", entry, "build", str(layout.stage)]
    command += ["--path-output", str(scratch), "--all", "-W", "-n", "--keep-going", "-q"]
    done = subprocess.run(
        command,
        cwd=layout.root,
        env=os.environ | {"TQDM_DISABLE": "1", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    (layout.build / "sphinx.log").write_text(log, encoding="utf-8")
    warnings = [
        line.strip().replace(str(layout.stage) + os.sep, "")
        for line in log.splitlines()
        if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)
    ]
    warnings = list(dict.fromkeys(map(_explained, warnings)))
    if done.returncode and not warnings:
        last = [line for line in log.splitlines() if line.strip()][-1:]
        warnings = [
            f"Sphinx ended with {done.returncode}: {' '.join(last)} (see _build/sphinx.log)"
        ]
    return warnings


def _explained(warning: str) -> str:
    """Say what to do about the one warning that does not say it."""
    if re.search(r"py:class reference target not found: [^.]+$", warning):
        return (
            f"{warning} (docstring: the words before a colon are read as a type; reword the line)"
        )
    return warning


def _prune(site: Path) -> None:
    """Delete what no page needs (most of MathJax, live code), mend what the theme writes."""
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        text = THEBE.sub("", text)
        for before, after in MENDED:
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
    for path in site.glob("_static/sphinx-thebe*"):
        path.unlink()
    for root in site.glob("_static/**/mathjax"):
        for path in root.rglob("*"):
            if path.is_file() and not MATHJAX_KEEP.match(path.relative_to(root).as_posix()):
                path.unlink()
    for path in site.glob("_static/**/*.map"):
        path.unlink()
    shutil.rmtree(site / "_static" / "locales", ignore_errors=True)


def check(site: Path) -> list[str]:
    """Read every finished page: nothing from outside, no link or anchor that leads nowhere."""
    pages = {
        path: path.read_text(encoding="utf-8")
        for path in site.rglob("*.html")
        if "_static" not in path.relative_to(site).parts
    }
    found = []
    for path, text in pages.items():
        name = path.relative_to(site).as_posix()
        found += [f"{name}: {problem}" for problem in gate.html_problems(text)]
        for address in re.findall(r"""(?:href|src)=["']([^"']+)["']""", text):
            reason = _broken(path, html.unescape(address), site, pages)
            if reason:
                found.append(f"{name}: {reason}")
    for path in site.rglob("*.css"):
        if gate.OUTSIDE_CSS.search(path.read_text(encoding="utf-8", errors="replace")):
            found.append(f"{path.relative_to(site)}: loads a font or style from outside")
    return list(dict.fromkeys(found))


def _broken(page: Path, address: str, site: Path, pages: dict[Path, str]) -> str:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or address.startswith("#top"):
        return ""
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"link to {address}, which does not exist"
    anchor = unquote(parts.fragment)
    if (
        anchor
        and target in pages
        and not re.search(
            rf"""\b(?:id|name)=["']{re.escape(html.escape(anchor))}["']""", pages[target]
        )
    ):
        return f"link to {address}, but {target.relative_to(site)} has no such anchor"
    return ""
