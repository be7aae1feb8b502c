"""The house: which module may import which."""

from __future__ import annotations

import ast
import functools
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatfile import errors
from tests.support import ROOT

# A room, and the rooms of ours that it may import.
HOUSE = {
    "errors": set(),
    "wire": {"errors"},
    "transports": set(),
    "timeouts": {"transports"},
    "rates": set(),
    "disk": {"errors", "timeouts"},
    "resolving": {"disk"},
    "tls": {"errors"},
    "lines": {"timeouts", "transports"},
    "fdio": set(),
    "paths": {"fdio"},
    "repository": {"fdio", "paths", "errors", "wire"},
    "admission": {"errors"},
    "cluster": {"errors", "admission", "timeouts", "tls"},
    "digests": {"errors", "fdio", "disk"},
    "prehash": {"errors", "repository", "digests"},
    "sending": {"fdio", "errors", "disk", "transports"},
    "receiving": {"fdio", "disk", "rates", "timeouts"},
    "partfile": {"fdio", "errors", "paths"},
    "server": {
        "errors",
        "wire",
        "lines",
        "timeouts",
        "fdio",
        "transports",
        "disk",
        "admission",
        "repository",
        "digests",
        "sending",
        "tls",
        "rates",
    },
    "pending": {"errors", "wire", "lines", "disk", "receiving"},
    "endpoints": {"errors", "tls"},
    "client": {
        "errors",
        "wire",
        "lines",
        "timeouts",
        "transports",
        "disk",
        "tls",
        "receiving",
        "pending",
        "endpoints",
    },
    "downloads": {"errors", "wire", "disk", "client", "pending", "partfile", "paths", "fdio"},
    "typed": set(),
    "completion": {"typed", "wire"},
    "options": {"cluster", "completion", "errors", "server", "tls", "rates"},
    "listening": set(),
    "metrics": {"admission", "disk", "listening", "server", "transports", "wire"},
    "signals": set(),
    "systemd": set(),
    "logs": set(),
    "service": {
        "admission",
        "cluster",
        "errors",
        "timeouts",
        "digests",
        "disk",
        "listening",
        "metrics",
        "options",
        "prehash",
        "repository",
        "resolving",
        "server",
        "signals",
        "systemd",
        "tls",
        "transports",
        "wire",
    },
    "cli": {
        "disk",
        "errors",
        "wire",
        "timeouts",
        "lines",
        "tls",
        "client",
        "downloads",
        "endpoints",
        "partfile",
        "paths",
        "rates",
        "resolving",
        "completion",
        "typed",
    },
    "__main__": {"completion", "options", "signals", "wire"},
}
# What a room, or a file of it, never imports of the world outside.
PURE = {
    "errors": {"twisted"},
    "wire": {"twisted", "os", "time"},
    "lines": {"os"},
    "lines/splitter": {"twisted", "os", "time"},
    "lines/telnet": {"twisted", "os", "time"},
    "admission": {"twisted", "time"},
    "repository": {"twisted"},
    "partfile": {"twisted"},
    "typed": {"twisted"},
    "completion": {"twisted"},
    "rates": {"twisted", "os", "time"},
    "logs": {"os", "time"},
}
MODULES = sorted((ROOT / "chatfile").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "chatfile").parts[0].removesuffix(".py")


def place(path: Path) -> str:
    return str(path.relative_to(ROOT / "chatfile").with_suffix(""))


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """Every module that is imported, and whether that happens when `path` itself is."""
    tree, found = parsed(path), []
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found += [(f"{node.module}.{alias.name}", node in top) for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    for name, at_import in imports(path):
        first, *rest = name.split(".")
        if first == "chatfile" and rest and rest[0] not in (room(path), "program_and_version"):
            assert rest[0] in HOUSE[room(path)], name
        assert first not in PURE.get(room(path), set()) | PURE.get(place(path), set()), name
        assert not (at_import and name.startswith("twisted.internet.reactor")), name


def test_there_is_no_circle() -> None:
    """Nor one of imports that are there for types alone: what a reader must know of each other is a circle as well."""
    known = {module(path) for path in MODULES}

    def ours(name: str) -> str | None:
        return name if name in known else next((head for head in [name.rpartition(".")[0]] if head in known), None)

    graph = {module(path): {found for name, _ in imports(path) if (found := ours(name))} for path in MODULES}
    while ready := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in ready:
            del graph[name]
    assert not graph


def test_no_two_classes_have_one_name() -> None:
    """One word has one meaning; `_Private` and `Private` are one word as well."""
    nodes = (node for path in MODULES for node in ast.walk(parsed(path)))
    names = Counter(node.name.lstrip("_") for node in nodes if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} == set()


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_no_function_is_longer_than_fifty_lines(path: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(parsed(path)) if isinstance(node, functions)]
    assert [node.name for node in nodes if (node.end_lineno or 0) - node.lineno >= 50] == []


def test_two_classes_of_ours_are_the_deepest_that_one_stands_on_another() -> None:
    """But for errors, whose kinds are what `except` is for."""
    classes = {node.name: node for path in MODULES for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)}

    def depth(name: str) -> int:
        spelled = {ast.unparse(base).partition("[")[0].removeprefix("errors.") for base in classes[name].bases}
        return 1 + max((depth(base) for base in spelled & classes.keys()), default=0)

    deep = {name: depth(name) for name in classes if not name.startswith("_")}
    in_errors = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name for name, levels in deep.items() if levels > 2 and name not in in_errors} == set()
    assert max(deep[name] for name in in_errors) <= 4


def test_the_repository_knows_of_the_wire_what_a_name_is_and_no_more() -> None:
    names = [name for name, _ in imports(ROOT / "chatfile" / "repository.py") if name.startswith("chatfile.wire")]
    assert names == ["chatfile.wire.text.is_servable", "chatfile.wire.text.is_servable_path"]


def clocks_read(path: Path) -> Iterator[str]:
    """What of the wall clock is used, and by whom."""
    for node in ast.walk(parsed(path)):
        used = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if used in ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.datetime.now"):
            yield used
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{alias.name}" for alias in node.names)


def test_the_wall_clock_is_read_where_times_are_shown_or_compared_with_those_of_files() -> None:
    seen = {str(path.relative_to(ROOT / "chatfile")): list(clocks_read(path)) for path in MODULES}
    assert {path: clocks for path, clocks in seen.items() if clocks} == {
        "service/making.py": ["time.time"] * 5,  # `status`, twice; files changed just now; certificates; a page
        "cli/watch.py": ["time.time"],
        "cli/view.py": ["time.time"] * 2,
    }


def test_every_room_is_in_the_plan() -> None:
    assert {room(path) for path in MODULES if path.name != "__init__.py" or path.parent.name != "chatfile"} == set(
        HOUSE
    )


def test_shell_completion_is_loaded_for_itself_alone() -> None:
    about_it = ("chatfile.completion", "argcomplete")
    for path in MODULES:
        if room(path) != "completion":
            assert not any(at_import and name.startswith(about_it) for name, at_import in imports(path)), path


OPTIONAL = [
    "chatfile.prehash",
    "chatfile.digests.keeper",
    "chatfile.digests.store",
    "chatfile.rates",
    "chatfile.server.pacing",
    "chatfile.receiving.limit",
    "chatfile.server.waiting",
    "chatfile.systemd",
    "chatfile.logs",
    "chatfile.service.certificates",
    "chatfile.server.proxied",
    "chatfile.server.proxy_header",
    "proxyprotocol",
    "chatfile.metrics",
]


@pytest.mark.parametrize("optional", OPTIONAL)
def test_what_is_for_an_option_is_loaded_behind_it_alone(optional: str) -> None:
    for path in MODULES:
        is_needed = module(path).startswith(tuple(OPTIONAL))  # it is for an option as well
        assert is_needed or not any(at_import and name.startswith(optional) for name, at_import in imports(path)), path


def test_only_the_command_line_prints() -> None:
    for path in MODULES:
        calls = (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
        prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not prints or room(path) == "cli", path


def test_every_error_with_a_code_is_in_the_table() -> None:
    def heirs(kind: type[errors.Refusal]) -> Iterator[type[errors.Refusal]]:
        for heir in kind.__subclasses__():
            yield heir
            yield from heirs(heir)

    assert {heir.code for heir in heirs(errors.Refusal)} == set(errors.REFUSALS)


def test_the_architecture_tells_of_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for each in HOUSE.keys() - {"__main__", "completion"}:
        assert re.search(rf"\b{each}\b", text), each


WORDS_ARE_FREE = {"errors"}
"""Rooms whose docstrings are not held to the rules of words: those of `errors` are sentences for people."""
NO_VERB = re.compile(
    r"(The|An?|What|Which|Whether|Who|Whoever|Where|When|Why|How|That|This|These|Those|It|Its|There|Such|Another|Nothing"
    r"|No|Nobody|Everyone|Everything|All|Some|Any|One|Our|As|At|By|For|From|In|Of|On|To|Under|With|Without|If|Only"
    r"|Always|Never|Not|So)\b"
)
BARE_WHO = re.compile(r"^whom?\b|([,;:(]|\b(and|or|of|to|for|by|as|than|is)) whom?\b|\(whom?\b", re.IGNORECASE)


def with_words() -> Iterator[Path]:
    yield from (path for path in MODULES if room(path) not in WORDS_ARE_FREE)


def words_of(path: Path) -> Iterator[str]:
    """Every comment and docstring, also of a constant, as one line."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield " ".join(node.value.value.split())
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.string.lstrip("# ")


def test_the_docstring_of_a_function_begins_with_a_verb() -> None:
    nodes = (node for path in with_words() for node in ast.walk(parsed(path)))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    assert [each.name for each in functions if NO_VERB.match(ast.get_docstring(each) or "")] == []


def test_a_who_has_somebody_before_it() -> None:
    assert [text for path in with_words() for text in words_of(path) if BARE_WHO.search(text)] == []


def test_no_two_public_functions_have_one_name() -> None:
    names = Counter(
        node.name
        for path in with_words()
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert {name for name, count in names.items() if count > 1 and not name.startswith("_")} == set()
