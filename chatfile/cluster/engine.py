"""The connection to the engine, Redis or Valkey, at which nodes count their clients together."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError
from txredisapi import TimeoutError as EngineTimeout

from chatfile import tls
from chatfile.cluster.address import EngineAddress
from chatfile.cluster.connection import EngineConnection
from chatfile.cluster.outages import OutageLog
from chatfile.timeouts import Timer

_LONGEST_PAUSE = 0.25
"""Seconds until the next attempt to reach the engine."""
_LONGEST_PATIENCE = 0.8
_LONGEST_REASON = 200
_RUN = re.compile(r"^run_id:([0-9a-f]+)", re.MULTILINE)

Ask = Callable[..., Awaitable[str]]
"""Has a script run with the arguments behind it, and returns the answer. Raises `EngineAway`."""


def patience(lease: float) -> float:
    """Return for how many seconds the engine is waited for: a newcomer is to be told within one, and a lease kept."""
    return min(_LONGEST_PATIENCE, lease / 4)


class EngineAway(Exception):
    """Raised where the engine has not answered, or not with what it should."""


class Engine:
    """Keeps a connection to the engine. On each one it joins the cluster first; until that is done, it counts as away.

    Whatever is wrong ends the connection: what was asked on it is void from then on, for the next one has another
    generation (see `scripts`).
    """

    log = Logger()

    def __init__(
        self,
        address: EngineAddress,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        *,
        keys: list[str],
        node: str,
        lease: float,
        history: int,
    ) -> None:
        """Connect at `endpoint`, once started, and speak for `node`; `lease` is in seconds."""
        self.name = address.name
        self.joins = 0
        """How often the node has joined, or begun to."""
        self.is_joined = False
        """Whether the engine is there, and knows who is inside."""
        self._address = address
        self._endpoint = endpoint
        self._clock = clock
        self._keys = keys
        self._node = node
        self._lease = lease
        self._history = history
        self._patience = patience(lease)
        self._pause = min(_LONGEST_PAUSE, lease / 16)  # nodes call each lease / 3, and have to be back within lease / 2
        protocol = partial(
            EngineConnection, self._patience, clock, made=self._connected, broken=self.give_up, lost=self._disconnected
        )
        self._factory = Factory.forProtocol(protocol)
        self._factory.noisy = False
        self._retry = Timer(clock, self._connect)
        self._connecting: Deferred[Any] = succeed(None)
        self._connection: EngineConnection | None = None
        self._life = ""
        self._outages = OutageLog(address.name, clock)
        self._join: Callable[[Ask], Awaitable[None]]
        self._stopped: Deferred[None] | None = None

    @property
    def reason(self) -> str:
        """Return why it is away; empty as long as it is there, or was not tried yet."""
        return self._outages.reason

    # --- connecting ---

    def start(self, join: Callable[[Ask], Awaitable[None]]) -> None:
        """Connect, now and whenever that is necessary; `join` is called on each connection, with what asks there."""
        self._join = join
        self._connect()

    def stop(self) -> Deferred[None]:
        """Close the connection; fires when it is gone."""
        self._stopped = Deferred() if self._connection is not None else succeed(None)
        self._retry.stop()
        self._connecting.cancel()
        if self._connection is not None:
            self._connection.transport.abortConnection()
        return self._stopped

    def _connect(self) -> None:
        self._connecting = self._endpoint.connect(self._factory)
        self._connecting.addErrback(self._not_reached)

    def _not_reached(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._tell(f"it can't be reached: {self._shown(failure.value)}")
        if self._stopped is None:
            self._retry.restart(self._pause)

    def _connected(self, connection: EngineConnection) -> None:
        self._connection = connection
        Deferred.fromCoroutine(self._open(connection)).addErrback(partial(self._join_failed, connection))

    async def _open(self, connection: EngineConnection) -> None:
        await self._log_in(connection)
        self._life = await self._identify(connection)
        self.joins += 1
        await self._join(partial(self._ask, connection))
        if connection is self._connection:
            self.is_joined = True
            self._outages.back()

    def _join_failed(self, connection: EngineConnection, failure: Failure) -> None:
        if failure.check(EngineAway, RedisError) is None:
            self.log.failure("Joining the cluster", failure, event="engine")
        self.give_up(connection, failure.value)

    async def _log_in(self, connection: EngineConnection) -> None:
        """Authenticate, and choose the database. Raises `EngineAway`, RedisError."""
        if self._address.password is not None:
            try:
                await connection.auth(self._address.password, self._address.user)
            except ResponseError as error:  # whose text may repeat the password
                code = str(error).partition(" ")[0]
                shown = f" ({code})" if code.isalpha() and code.isupper() else ""
                raise EngineAway(f"it refuses the user or the password{shown}") from None
        if self._address.database:
            await connection.select(self._address.database)

    async def _identify(self, connection: EngineConnection) -> str:
        """Return which run of the engine it is. Raises `EngineAway`, RedisError."""
        role = await connection.execute_command("ROLE")
        if not isinstance(role, list) or role[:1] != ["master"]:
            raise EngineAway("it is no master, so that nothing can be written to it")
        run = _RUN.search(str(await connection.execute_command("INFO", "server")))
        if run is None:
            raise EngineAway("it does not tell which run it is (run_id)")
        return run[1]

    def give_up(self, connection: EngineConnection, why: object) -> None:
        """Reset `connection`; what was asked on it fails, and the engine counts as away at once."""
        if connection is self._connection:
            self.is_joined = False
            self._tell(self._shown(why))
            connection.transport.abortConnection()

    def reject(self, why: str) -> None:
        """Join anew: what the engine has answered is not what it should be."""
        if self._connection is not None:
            self.give_up(self._connection, why)

    def _disconnected(self, connection: EngineConnection, why: BaseException | None) -> None:
        if connection is not self._connection:
            return
        self.is_joined = False
        self._connection = None
        if self._stopped is not None:
            self._stopped.callback(None)
            return
        if why is not None:
            self._tell(self._shown(why))
        self._retry.restart(self._pause)

    def _tell(self, why: str) -> None:
        if self._stopped is None:
            self._outages.away(why)

    def _shown(self, why: object) -> str:
        """Return a reason as it is logged: the text of an error is the engine's, of any length, and holds anything."""
        if isinstance(why, EngineTimeout):
            return "it does not answer in time"
        if isinstance(why, Exception) and (of_tls := tls.why_none(why)) is not None:
            return of_tls.replace("--", "")  # what are options of a client are parts of the URL here
        text = str(why).rstrip(". ") or type(why).__name__
        if self._address.password is not None and self._address.password in text:
            return "it answers with an error that repeats the password"
        return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST_REASON])

    # --- asking ---

    async def ask(self, script: str, *arguments: object) -> str:
        """Have `script` run, and return the answer. Raises `EngineAway`, at once where the engine is away already."""
        return await self._ask(self._joined(), script, *arguments)

    async def read(self, script: str, *arguments: object) -> str:
        """Do as `ask` with a script that changes nothing, and takes only `arguments`. Raises `EngineAway`."""
        return await self._run(self._joined(), script, arguments)

    def _joined(self) -> EngineConnection:
        if self._connection is None or not self.is_joined:
            raise EngineAway
        return self._connection

    async def _ask(self, connection: EngineConnection, script: str, *arguments: object) -> str:
        whose = (self._node, self.joins, self._life, round(self._lease * 1000), self._history)
        answer = await self._run(connection, script, (*whose, *arguments))
        if answer == "stale":
            raise self._away(connection, "it takes this node for dead, or for one that has joined again")
        return answer

    async def _run(self, connection: EngineConnection, script: str, arguments: tuple[object, ...]) -> str:
        asked = self._clock.seconds()
        try:
            answer = await connection.eval(script, self._keys, [str(each) for each in arguments])
        except RedisError as error:
            raise self._away(connection, error) from error
        # A process that was stopped finds the answer when it goes on, and its seats may be others' by then.
        if self._clock.seconds() - asked > self._patience:
            raise self._away(connection, "it does not answer in time")
        if not isinstance(answer, str):
            raise self._away(connection, "it answers nonsense")
        return answer

    def _away(self, connection: EngineConnection, why: object) -> EngineAway:
        self.give_up(connection, why)
        return EngineAway(self._shown(why))
