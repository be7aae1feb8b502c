"""The numbers of `chatfile/1` (design, section 1)."""

VERSION = "chatfile/1"
MAX_REQUEST = 4096
"""Bytes of a request, without its end."""
MAX_REPLY = 8192
"""Bytes of a line that a client accepts."""
MAX_ROWS = 1_000_000
"""Rows of one reply that a client accepts."""
MAX_ROWS_BYTES = 256 << 20
"""Bytes of all rows of one reply that a client accepts."""
MAX_NUMBER = 2**63 - 1
"""The largest size or offset; a larger offset is taken for this one, which no file reaches."""
