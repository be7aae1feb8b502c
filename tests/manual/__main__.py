"""`python -m tests.manual`: write the manual pages anew, from `docs/` as it is."""

from __future__ import annotations

import sys

from tests.manual.docs import CanNotMake, read
from tests.manual.making import FOLDER, ROOT, made, path
from tests.manual.pages import PAGES


def main() -> None:
    """Write all pages, or none and say why."""
    try:
        docs = read(ROOT / "docs")
        pages = {path(page): made(page, docs) for page in PAGES}
    except CanNotMake as error:
        sys.exit(str(error))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, text in pages.items():
        file.write_text(text)
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
