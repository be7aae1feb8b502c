"""The manual pages, made from `docs/` and the programs' own parsers; `python -m tests.manual` writes them."""
