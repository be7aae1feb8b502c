"""The service's side of the conversation."""

from chatfile.server.activity import Activity
from chatfile.server.context import Timeouts
from chatfile.server.factory import ChatFileFactory
from chatfile.server.listings import Listings
from chatfile.server.protocol import ChatFileProtocol
from chatfile.server.unseated import MAX_UNSEATED, EvictionRank, UnseatedConnections

__all__ = [
    "MAX_UNSEATED",
    "Activity",
    "ChatFileFactory",
    "ChatFileProtocol",
    "EvictionRank",
    "Listings",
    "Timeouts",
    "UnseatedConnections",
]
