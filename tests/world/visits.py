"""What a client's program has: threads, a connection that it makes anew, and a record of what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError

from chatfile import errors
from chatfile.client import CLOSING, ChatFileClient, connect
from chatfile.disk import Lane
from chatfile.disk.queues import Call
from tests.world.disk import ScheduledThreads
from tests.world.plan import NAMES, PATIENCE
from tests.world.promises import Circumstances

if TYPE_CHECKING:
    from tests.world.world import World


class Visit:
    """One program that is a client, with as many connections, one after the other, as it needs."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.choose = world.schedule.random
        self.client: ChatFileClient | None = None
        self.shares = False
        """Whether others write where it does."""
        self.is_cancelled = False
        self._came_at = 0
        self.is_over = False
        schedule = world.schedule
        self.threads = ScheduledThreads(name, schedule, world.seam, world.plan.client_disk)
        self.lane = Lane(
            schedule.clock,
            self.threads.in_reactor,
            timeout=0,
            at_once=16,
            most=256,
            patience=0.05,
            start=self.threads.start,
        )
        self.threads.made = self._look_at_what_is_saved
        self.in_thread = self.lane.queue()

    def _look_at_what_is_saved(self, call: Call) -> None:
        if getattr(call.function, "__name__", "") in ("_save", "_finish"):
            self.world.local.check()
            self.world.mirrored.check()

    def end(self) -> None:
        """Hold that it has left nothing with its threads, and end them."""
        load = self.lane.load()
        self.world.promises.hold(load.waiting + load.under_way + load.hung == 0, "settled", f"{self.name}: {load}")
        self.lane.close()

    # --- its connection ---

    async def connect(self) -> ChatFileClient:
        """Return a client that was greeted. Raises what `connect` does."""
        world = self.world
        is_patient = bool(world.plan.places) and world.schedule.chance(0.5)
        self.client = None
        self._came_at = world.shelf.moment
        connecting = connect(
            world.endpoint,
            timeout=PATIENCE,
            clock=world.schedule.clock,
            in_thread=self.in_thread,
            waiting=self._note_position if is_patient else None,
            limit_rate=world.plan.limit_rate,
        )
        self.client = await self.attempt("connect", connecting)
        return self.client

    def _note_position(self, position: int) -> None:
        self.world.schedule.note("waits", self.name, position)

    @property
    def is_connected(self) -> bool:
        return self.client is not None and self.client.is_receiving

    def _is_disturbed(self) -> bool:
        if self.world.host.has_drained:
            return True
        if self.client is None and self.world.plan.evicts:
            return True
        paths = self.world.endpoint.paths if self.client is None else [self.client.transport.path]
        return any(path.is_disturbed for path in paths)

    # --- what comes of it ---

    async def attempt(self, what: str, act: Awaitable[Any], *names: str) -> Any:
        """Return what comes of `act`, which is about the files called `names`; an error has to have a reason."""
        world, moment = self.world, self.world.shelf.moment
        try:
            result = await act
        except (Exception, CancelledError) as error:
            world.schedule.note("fails", self.name, what, *names, type(error).__name__)
            excused = self._circumstances(moment, names, resumed=what == "resume").excuse(error)
            world.promises.hold(excused, "honest", f"{self.name}: {what} {names}: {error!r}")
            raise
        world.schedule.note("does", self.name, what, *names)
        return result

    def _circumstances(self, moment: int, names: tuple[str, ...], *, resumed: bool) -> Circumstances:
        shelf, plan = self.world.shelf, self.world.plan
        return Circumstances(
            network=self._is_disturbed(),
            reset=any(shelf.is_damaged(self._came_at, name) for name in NAMES),
            server_disk=plan.server_disk.is_bad,
            client_disk=plan.client_disk.is_bad,
            shared=self.shares,
            cancelled=self.is_cancelled,
            changes=[shelf.since(self._came_at, name) for name in names],
            damaged=any(shelf.is_damaged(moment, name) for name in names or NAMES),
            stale=resumed and any(len(shelf.since(moment, name)) > 1 for name in names),
        )

    async def call(self, what: str, call: Callable[..., Awaitable[Any]], *names: str, **named: Any) -> Any:
        """`attempt` a call of the client, which may fail at once."""

        async def act() -> Any:
            return await call(*names, **named)

        return await self.attempt(what, act(), *names)

    async def again(self, what: str, act: Callable[[], Awaitable[Any]]) -> None:
        """Do it until it is done, connecting anew each time; once faults end, it has to be done soon."""
        while not await self._did(act) and not self.world.is_closed:
            self.world.schedule.note("tries again", self.name, what)
            await self.world.schedule.sleep(self.choose.uniform(0.1, 2.0))

    async def _did(self, act: Callable[[], Awaitable[Any]]) -> bool:
        try:
            if not self.is_connected:
                await self.connect()
            await act()
        except (errors.ChatFileError, OSError) as error:  # it was judged
            if isinstance(error, CLOSING) and self.client is not None:
                self.client.abort()  # the close itself may never come
            return False
        return True

    async def leave(self) -> None:
        """Say goodbye, or go without a word."""
        client = self.client
        if client is None or not client.is_receiving:
            return
        if self.world.schedule.chance(0.5):
            try:
                await self.attempt("exit", client.exit())
            except errors.ChatFileError:
                pass  # it was judged
        client.abort()
