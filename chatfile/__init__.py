"""A file server you can talk to."""

from __future__ import annotations


def program_and_version() -> str:
    """Return what `--version` shows, such as `chatfile 0.1.0`."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 -- it takes as long as a whole start

    try:
        return f"chatfile {version('chatfile')}"
    except PackageNotFoundError:
        return "chatfile, not installed"
