"""What became of the changes, in a table, and those that nothing noticed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import yaml
from cosmic_ray.work_item import WorkItem

from tests.mutation.mutants import Mutant, describe

JUDGED = Path(__file__).parent / "judged.yaml"


def judgements(path: Path = JUDGED) -> dict[Mutant, str]:
    """Of which kind each change is that was judged: "equivalent", "figure" or "left"."""
    groups = yaml.safe_load(path.read_text())
    return {Mutant(**mutant): group["kind"] for group in groups for mutant in group["mutants"]}


class Report:
    """Prints survivors room by room, then the table."""

    def __init__(self) -> None:
        """Read what has been judged."""
        self._judged = judgements()
        self._rows: list[tuple[str, Counter[str]]] = []
        self.unjudged = 0

    def tell(self, room: str, results: Iterable[tuple[WorkItem, str]]) -> None:
        """Count what became of the changes of a room; print those that survived and are not judged."""
        counts: Counter[str] = Counter()
        for item, outcome in results:
            counts[outcome] += 1
            if outcome == "survived":
                self._tell_survivor(item, counts)
        self._rows.append((room, counts))

    def _tell_survivor(self, item: WorkItem, counts: Counter[str]) -> None:
        mutant = describe(item)
        if kind := self._judged.get(mutant):
            counts[kind] += 1
        else:
            self.unjudged += 1
            line = item.mutations[0].start_pos[0]
            sys.stdout.write(
                f"# chatfile/{mutant.file}:{line}\n{yaml.safe_dump([asdict(mutant)], width=500, sort_keys=False)}"
            )

    def sum_up(self) -> None:
        """Print the table."""
        titles = ("room", "changes", "killed", "hung", "survived", "equivalent", "figures", "score", "without these")
        lines = [titles, ("---",) * len(titles)]
        total: Counter[str] = Counter()
        for room, counts in self._rows:
            total += counts
            lines.append(_row(room, counts))
        lines.append(_row("all", total))
        sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


def _row(room: str, counts: Counter[str]) -> tuple[str, ...]:
    noticed = counts["killed"] + counts["hangs"]
    tried = noticed + counts["survived"]
    of_nothing = counts["equivalent"], counts["figure"]
    numbers = (tried, counts["killed"], counts["hangs"], counts["survived"], *of_nothing)
    shares = (noticed / (tried or 1), noticed / (tried - sum(of_nothing) or 1))
    return (room, *map(str, numbers), *(f"{share:.1%}" for share in shares))
