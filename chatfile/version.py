"""Which chatfile this is."""

from __future__ import annotations


def program_and_version() -> str:
    """Such as `chatfile 0.1.0`."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 -- it takes as long as a whole start

    try:
        return f"chatfile {version('chatfile')}"
    except PackageNotFoundError:
        return "chatfile, not installed"
