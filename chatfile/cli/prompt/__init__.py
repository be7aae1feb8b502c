"""The interactive prompt: the user can type while earlier lines are carried out."""

from __future__ import annotations

from chatfile.cli.prompt.app import PromptApp

__all__ = ["PromptApp"]
