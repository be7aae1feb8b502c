"""What a terminal shows."""

from __future__ import annotations

from pathlib import Path

from tests.support.terminals import Terminal


def test_all_is_shown_that_was_written_before_the_end(tmp_path: Path) -> None:
    with Terminal("seq", "1000", folder=tmp_path) as terminal:
        terminal.at_once = 1
        assert terminal.ended() == 0
        assert terminal.screen.endswith("\r\n1000\r\n")
