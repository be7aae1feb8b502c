"""The interactive prompt: typing goes on while what was typed before is carried out."""

from __future__ import annotations

from chatfile.cli.prompt.conversation import Conversation

__all__ = ["Conversation"]
