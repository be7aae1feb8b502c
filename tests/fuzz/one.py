"""`python -m tests.fuzz.one TARGET ...`: one target in this process; what follows its name is for libFuzzer."""

from __future__ import annotations

import sys

import atheris

from tests.support.leftovers import nothing_left

with atheris.instrument_imports(include=["chatfile"]):
    from tests.fuzz.targets import TARGETS

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher


def main() -> None:
    """Does not return: libFuzzer ends the process."""
    check = TARGETS[sys.argv[1]]
    logged: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            logged.append(formatEvent(event))

    def one_input(data: bytes) -> None:
        with nothing_left():
            check(data)
        assert not logged, logged

    globalLogPublisher.addObserver(observe)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
