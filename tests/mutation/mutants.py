"""The small changes of a file that mean something, as cosmic-ray makes them."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, WorkerOutcome, WorkItem, WorkResult

# Of the operators that cosmic-ray puts in the place of another, those that are the hardest to notice: a test that tells
# `<` from `<=` and from `!=`, and an `if` from its contrary, tells it from the rest as well.
LIKE = {
    "Eq": ["NotEq", "LtE", "GtE"],
    "NotEq": ["Eq", "Lt", "Gt"],
    "Lt": ["LtE", "NotEq"],
    "LtE": ["Lt", "Eq"],
    "Gt": ["GtE", "NotEq"],
    "GtE": ["Gt", "Eq"],
    "Is": ["IsNot"],
    "IsNot": ["Is"],
    "Add": ["Sub"],
    "Sub": ["Add"],
    "Mul": ["FloorDiv"],
    "Div": ["Mul"],
    "FloorDiv": ["Mul"],
    "Mod": ["FloorDiv"],
    "Pow": ["Mul"],
    "LShift": ["RShift"],
    "RShift": ["LShift"],
    "BitOr": ["BitAnd"],
    "BitAnd": ["BitOr"],
    "BitXor": ["BitOr"],
    "Delete": ["USub", "Not", "Invert"],
    "USub": [],
    "Invert": [],
}


Position = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change, and where it is; without a line number, for it is to be known again when the file has changed."""

    file: str
    within: str
    was: str
    becomes: str


def prepare(session: WorkDB, paths: Sequence[Path]) -> None:
    """Have all changes of the files in the session; what means nothing, or is like another, is marked as skipped."""
    init(paths, session, {})
    unread = {str(path): list(_unread(path.read_text())) for path in paths}
    skipped = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)
    session.set_multiple_results([item.job_id for item in session.work_items if not _is_chosen(item, unread)], skipped)


def _is_chosen(item: WorkItem, unread: dict[str, list[tuple[Position, Position]]]) -> bool:
    change = item.mutations[0]
    _, _, replaced = change.operator_name.removeprefix("core/Replace").partition("Operator_")
    before, _, after = replaced.partition("_")
    if after and after not in LIKE[before]:
        return False
    return not any(start <= change.start_pos < end for start, end in unread[str(change.module_path)])


def _unread(source: str) -> Iterator[tuple[Position, Position]]:
    """Where what stands is nothing to the program: what is there for mypy, and what saves memory only."""
    for node in ast.walk(ast.parse(source)):
        for each in _parts_unread(node):
            yield (each.lineno, each.col_offset), (each.end_lineno or 0, each.end_col_offset or 0)


def _parts_unread(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.arg(annotation=ast.expr() as part) | ast.AnnAssign(annotation=part):
            yield part
        case ast.FunctionDef(returns=ast.expr() as part) | ast.AsyncFunctionDef(returns=ast.expr() as part):
            yield part
        case ast.keyword(arg="slots", value=part):
            yield part
        case ast.ClassDef(bases=[ast.Name("Protocol") | ast.Subscript(ast.Name("Protocol"))]):
            yield node
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            yield node


def changed_source(item: WorkItem) -> str:
    """The text of the file with the change; none where cosmic-ray has promised one that it can't make."""
    change: MutationSpec = item.mutations[0]
    try:
        return mutate_code(change.module_path.read_text(), get_operator(change.operator_name)(), change.occurrence)
    except AttributeError:  # of the names in `except (errors.Full, OSError)` it replaces plain ones only
        return ""


def describe(item: WorkItem) -> Mutant:
    """What stands in the place of what."""
    change: MutationSpec = item.mutations[0]
    texts = (text.splitlines() for text in (change.module_path.read_text(), changed_source(item)))
    _, _, *lines = difflib.unified_diff(*texts, n=0)
    was, becomes = (" ".join(" ".join(line[1:] for line in lines if line[0] == sign).split()) for sign in "-+")
    return Mutant(str(change.module_path).removeprefix("chatfile/"), change.definition_name or "", was, becomes)
