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
from txredisapi import RedisError, RedisProtocol, ResponseError
from txredisapi import TimeoutError as EngineTimeout

from chatfile.cluster.address import EngineAddress
from chatfile.timeouts import Timer

RETRY = 0.25
"""Seconds until the next attempt to reach the engine."""
LARGEST_REPLY = 64 << 20
"""Bytes of an answer that are kept; a page of rows takes a hundredth of that."""
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


class EngineConnection(RedisProtocol):  # type: ignore[misc]  # it has no annotations
    """One connection to the engine, which is reset at the first thing that is wrong with it."""

    def __init__(self, engine: Engine, timeout: float) -> None:
        """Tell `engine` of its beginning and its end; an answer may take `timeout` seconds."""
        super().__init__(charset="utf-8", convertNumbers=False, replyTimeout=timeout)
        self._engine = engine
        self.callLater = engine.clock.callLater

    def connectionMade(self) -> None:
        """Begin to join."""
        super().connectionMade()
        self._engine.connected(self)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Take a part of an answer; reset the connection where it is none."""
        try:
            super().dataReceived(data, unpause)
        except Exception as error:  # whatever its parser raises at nonsense
            self._engine.give_up(self, f"it does not speak as Redis does ({type(error).__name__})")
            return
        if self.replyQueue.pending:
            self._engine.give_up(self, "it answers what was not asked")
        elif len(self.bulk_buffer) > LARGEST_REPLY:
            self._engine.give_up(self, "its answer has no end")

    def lineLengthExceeded(self, line: bytes) -> None:
        """Reset the connection: no answer to what is asked has such a line."""
        self._engine.give_up(self, f"it answers with a line of {len(line)} bytes")

    def connectionLost(self, why: Failure) -> None:
        """Fail all that was asked on it."""
        self._engine.disconnected(self, _shown(why.value))
        super().connectionLost(why)


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
        self.clock = clock
        self._keys = keys
        self._node = node
        self._lease = lease
        self._history = history
        self._patience = patience(lease)
        self._factory = Factory.forProtocol(partial(EngineConnection, self, self._patience))
        self._factory.noisy = False
        self._retry = Timer(clock, self._connect)
        self._connecting: Deferred[Any] = succeed(None)
        self._connection: EngineConnection | None = None
        self._life = ""
        self._reason = ""
        self._join: Callable[[Ask], Awaitable[None]]
        self._stopped: Deferred[None] | None = None

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
            self._tell(f"it can't be reached: {_shown(failure.value)}")
        if self._stopped is None:
            self._retry.restart(RETRY)

    def connected(self, connection: EngineConnection) -> None:
        """Hear from `connection` that it is there."""
        self._connection = connection
        Deferred.fromCoroutine(self._open(connection)).addErrback(partial(self._join_failed, connection))

    async def _open(self, connection: EngineConnection) -> None:
        await self._log_in(connection)
        self._life = await self._identify(connection)
        self.joins += 1
        await self._join(partial(self._ask, connection))
        if connection is self._connection:
            self.is_joined = True
            self._reason = ""
            self.log.info("Clients are counted at the engine {engine}", engine=self.name, event="engine")

    def _join_failed(self, connection: EngineConnection, failure: Failure) -> None:
        if failure.check(EngineAway, RedisError) is None:
            self.log.failure("Joining the cluster", failure, event="engine")
        self.give_up(connection, _shown(failure.value))

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
            raise EngineAway("it is a replica, which can't be written to")
        run = _RUN.search(str(await connection.execute_command("INFO", "server")))
        if run is None:
            raise EngineAway("it does not tell which run it is (run_id)")
        return run[1]

    def give_up(self, connection: EngineConnection, why: str) -> None:
        """Reset `connection`; what was asked on it fails, and the engine counts as away at once."""
        if connection is self._connection:
            self.is_joined = False
            self._tell(why)
            connection.transport.abortConnection()

    def reject(self, why: str) -> None:
        """Join anew: what the engine has answered is not what it should be."""
        if self._connection is not None:
            self.give_up(self._connection, why)

    def disconnected(self, connection: EngineConnection, why: str) -> None:
        """Hear from `connection` that it is gone."""
        if connection is not self._connection:
            return
        if self._stopped is not None:
            self._stopped.callback(None)
        else:
            if self.is_joined:
                self._tell(why)
            self._retry.restart(RETRY)
        self.is_joined = False
        self._connection = None

    def _tell(self, why: str) -> None:
        """Log why the engine is away, once for each reason."""
        if why != self._reason and self._stopped is None:
            self._reason = why
            self.log.warn(
                "The engine at {engine} is away: {why}. Until it is back, nobody new is let in",
                engine=self.name, why=why, event="engine",
            )  # fmt: skip

    # --- asking ---

    async def ask(self, script: str, *arguments: object) -> str:
        """Have `script` run, and return the answer. Raises `EngineAway`, at once where the engine is away already."""
        if self._connection is None or not self.is_joined:
            raise EngineAway(self._reason)
        return await self._ask(self._connection, script, *arguments)

    async def read(self, script: str, *arguments: object) -> str:
        """Do as `ask` with a script that changes nothing, and takes only `arguments`. Raises `EngineAway`."""
        if self._connection is None or not self.is_joined:
            raise EngineAway(self._reason)
        return await self._run(self._connection, script, arguments)

    async def _ask(self, connection: EngineConnection, script: str, *arguments: object) -> str:
        whose = (self._node, self.joins, self._life, round(self._lease * 1000), self._history)
        answer = await self._run(connection, script, (*whose, *arguments))
        if answer == "stale":
            self.give_up(connection, "it takes this node for dead, or for one that has joined again")
            raise EngineAway(answer)
        return answer

    async def _run(self, connection: EngineConnection, script: str, arguments: tuple[object, ...]) -> str:
        asked = self.clock.seconds()
        try:
            answer = await connection.eval(script, self._keys, [str(each) for each in arguments])
        except RedisError as error:
            self.give_up(connection, _shown(error))
            raise EngineAway(_shown(error)) from error
        # A process that was stopped finds the answer when it goes on, and its seats may be others' by then.
        if not isinstance(answer, str) or self.clock.seconds() - asked > self._patience:
            self.give_up(connection, "it does not answer in time" if isinstance(answer, str) else "it answers nonsense")
            raise EngineAway(self._reason)
        return answer


def _shown(error: BaseException | None) -> str:
    """Return the reason in an error: text of the engine's, so it may be of any length, and hold anything."""
    if isinstance(error, EngineTimeout):
        return "it does not answer in time"
    text = str(error).rstrip(".") or type(error).__name__
    return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST_REASON])
