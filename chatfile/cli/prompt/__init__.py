"""The interactive prompt: typing goes on while what was typed before is carried out."""

from __future__ import annotations

from chatfile.cli.prompt.app import PromptApp

__all__ = ["PromptApp"]
