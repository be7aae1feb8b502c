"""The service's side of the conversation."""

from chatfile.server.factory import STANDING_ROOM, ChatFileFactory
from chatfile.server.listings import Listings
from chatfile.server.protocol import ChatFileProtocol
from chatfile.server.table import Timeouts

__all__ = ["STANDING_ROOM", "ChatFileFactory", "ChatFileProtocol", "Listings", "Timeouts"]
