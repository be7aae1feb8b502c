"""The manual pages, made from the README and the programs' own parsers; `python -m tests.manual` writes them."""
