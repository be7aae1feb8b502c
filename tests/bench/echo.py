"""What Twisted itself costs: a LineReceiver that adds ` ACK` to each line; `python echo.py PORT`."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver


class Echo(LineReceiver):
    """Acknowledges every line."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        """Say it again."""
        self.sendLine(line + b" ACK")


reactor.listenTCP(int(sys.argv[1]), Factory.forProtocol(Echo), interface="127.0.0.1")
reactor.run()
