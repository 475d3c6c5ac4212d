"""The pipeline of the book: execute, gate, stage, build, check.

``book/build.py`` is its command line. One module per step:

- `layout`: where things lie, and the lock that keeps two builds apart
- `state`: what a notebook depends on, as one hash, so that only what changed runs again
- `execute`: papermill in separate processes
- `gate`, `typed`: refuse what must not be published, numbers typed by hand among it; then clean
- `claims`: what the builder asks of `mmlib`; `differences` and `times` ask for their own tables
- `texts`, `cards`, `excerpts`: the five texts; verdicts, figures and numbers of executed chapters
- `fragments`: badges, bars and status tables as HTML
- `landing`, `find`, `ledger_page`, `differences`, `times`, `benchmarks`, `reference`: one page each
- `pages`: prose pages with generated numbers, and the library reference
- `site`: the staging tree, Sphinx, and the checks of the finished pages
- `offline`, `offline_document`: the finished book as one file, and a PDF printed from it
"""
