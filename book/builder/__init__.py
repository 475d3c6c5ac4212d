"""The pipeline of the book: execute, gate, stage, build, check.

``book/build.py`` is its command line. One module per step:

- `layout`: where things lie, and the lock that keeps two builds apart
- `state`: what a notebook depends on, as one hash, so that only what changed runs again
- `execute`: papermill in separate processes
- `gate`: refuse what must not be published, then clean what remains
- `claims`: what the builder asks of `mmlib.evidence`
- `fragments`: verdict bars, ledger tables and status tables as HTML
- `excerpts`: numbers and figures of executed chapters, for pages that quote them
- `differences`: texts and released code, and the numbers that the errata quote
- `pages`: prose pages with generated numbers, and the library reference
- `site`: the staging tree, Sphinx, and the checks of the finished pages
"""
