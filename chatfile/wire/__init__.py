"""The grammar of `chatfile/1`, both directions, shared by server and client (docs/protocol.md).

Requests and replies are frozen values. Formatting one and parsing the line gives it back, and any bytes at all give
either a value or exactly one error. Lines are handled here without their end.
"""

from chatfile.wire.bursts import acknowledge, parse_file_requests
from chatfile.wire.replies import (
    GRAMMAR,
    MAX_REPLY,
    VERSION,
    Ack,
    Bye,
    ClientRow,
    Digest,
    End,
    Error,
    FileHeader,
    FileRow,
    HelpHeader,
    ListHeader,
    Reply,
    StatusHeader,
    TreeHeader,
    Welcome,
    format_reply,
    format_time,
    parse_reply,
    parse_time,
)
from chatfile.wire.requests import (
    HELP,
    HELP_WITH_TREE,
    MAX_NUMBER,
    MAX_REQUEST,
    Exit,
    Get,
    Hash,
    Help,
    List,
    Message,
    Request,
    Resume,
    Status,
    Tree,
    check_name,
    check_path,
    format_request,
    is_command,
    parse_request,
)
from chatfile.wire.rows import (
    MAX_ROWS,
    MAX_ROWS_BYTES,
    MAX_TREE_ROWS,
    Rows,
    TreeOrder,
    check_servable,
    parse_in_tree,
    parse_listed,
)
from chatfile.wire.text import MAX_DEPTH, MAX_PATH, exact, is_servable, is_servable_path, printable

__all__ = [
    "GRAMMAR", "HELP", "HELP_WITH_TREE", "MAX_DEPTH", "MAX_NUMBER", "MAX_PATH", "MAX_REPLY", "MAX_REQUEST", "MAX_ROWS",
    "MAX_ROWS_BYTES", "MAX_TREE_ROWS", "VERSION", "Ack", "Bye", "ClientRow", "Digest", "End", "Error", "Exit",
    "FileHeader", "FileRow", "Get", "Hash", "Help", "HelpHeader", "List", "ListHeader", "Message", "Reply", "Request",
    "Resume", "Rows", "Status", "StatusHeader", "Tree", "TreeHeader", "TreeOrder", "Welcome", "acknowledge",
    "check_name", "check_path", "check_servable", "exact", "format_reply", "format_request", "format_time",
    "is_command", "is_servable", "is_servable_path", "parse_file_requests", "parse_in_tree", "parse_listed",
    "parse_reply", "parse_request", "parse_time", "printable",
]  # fmt: skip
