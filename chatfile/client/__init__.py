"""The client's side of the conversation, as a library: `connect`, then one call for each request.

    client = await connect("tcp:127.0.0.1:5000")
    print(client.name, await client.send("hello"))
    await client.exit()

Requests can be sent without waiting for the replies before. It never prints, and it touches no file but the
descriptors that it is given.
"""

from chatfile.client.connecting import TLS_HINT, connect
from chatfile.client.protocol import CLOSING, HASHING_RATE, LONGEST_HASHING, ChatFileClient, parse_refusal

__all__ = [
    "CLOSING",
    "HASHING_RATE",
    "LONGEST_HASHING",
    "TLS_HINT",
    "ChatFileClient",
    "connect",
    "parse_refusal",
]
