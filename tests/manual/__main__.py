"""`python -m tests.manual`: write the manual pages anew, from the README as it is."""

from __future__ import annotations

import sys

from tests.manual.making import FOLDER, ROOT, made, path
from tests.manual.pages import PAGES
from tests.manual.readme import CanNotMake, Readme


def main() -> None:
    """All pages, or none and why."""
    try:
        readme = Readme((ROOT / "README.md").read_text())
        pages = {path(page): made(page, readme) for page in PAGES}
    except CanNotMake as error:
        sys.exit(str(error))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, text in pages.items():
        file.write_text(text)
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
