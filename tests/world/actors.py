"""What clients do that are programs of ours: talk, download, mirror, and look on from a neighbouring seat."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from chatfile import errors, wire
from chatfile.client import ChatFileClient
from chatfile.downloads import DownloadAhead, Mirror, MirrorFilter, download
from tests.world.plan import CALM, NAMES
from tests.world.promises import is_whole
from tests.world.visits import Visit

if TYPE_CHECKING:
    pass

PROMPT = 0.6
"""Seconds, beside what the network takes, in which a client is answered that asks for nothing that is slow."""
OVER = (errors.ServerClosed, errors.NoConnection, errors.NoGreeting, errors.ServerSilent, errors.Refusal)
"""What ends a conversation, or refuses one request."""


class Talker(Visit):
    """Asks for anything, at times for several things at once, and cancels some of that."""

    async def act(self) -> None:
        try:
            client = await self.connect()
            for _ in range(self.choose.randint(1, 6)):
                await self._say_some(client)
                await self.world.schedule.sleep(self.world.schedule.soon(2.0))
        except OVER:
            pass  # it was judged
        await self.leave()

    async def _say_some(self, client: ChatFileClient) -> None:
        asked = [self._ask(client) for _ in range(self.choose.choice((1, 1, 1, 2, 5)))]
        for each in asked:
            try:
                await each
            except (errors.ChatFileError, OSError, CancelledError):
                continue  # it was judged, and the next one has its own reply
        if not client.is_receiving:
            raise errors.ServerClosed

    def _ask(self, client: ChatFileClient) -> Deferred[Any]:
        name = self.choose.choice((*NAMES, CALM))
        what = self.choose.choice(("send", "send", "status", "list", "help", "hash", "hash", "get", "get", "resume"))
        asking: Deferred[Any] = Deferred.fromCoroutine(getattr(self, f"_{what}")(client, name))
        return asking

    async def _send(self, client: ChatFileClient, name: str) -> None:
        text = f"what of {name}"
        said = await self.call("send", lambda: client.send(text))
        self.world.promises.hold(said == f"{text} ACK", "ordered", said)

    async def _status(self, client: ChatFileClient, _: str) -> None:
        rows = await self.call("status", client.status)
        names = [row.name for row in rows]
        self.world.promises.hold(names == sorted(set(names)), "observable", names)
        here = [row.name for row in rows if row.disconnected is None]
        self.world.promises.hold(client.name in here, "observable", f"{client.name} is not in {here}")
        self.world.promises.hold(len(here) <= self.world.plan.seats, "observable", here)

    async def _list(self, client: ChatFileClient, _: str) -> None:
        moment = self.world.shelf.moment
        rows = await self.call("list", client.listing)
        if moment == self.world.shelf.moment and not self.world.plan.server_disk.failing:
            self.world.promises.hold(list(rows) == self.world.shelf.rows(), "exact", list(rows))

    async def _help(self, client: ChatFileClient, _: str) -> None:
        await self.call("help", client.help)

    async def _hash(self, client: ChatFileClient, name: str) -> None:
        shelf, moment = self.world.shelf, self.world.shelf.moment
        digest = await self.call("hash", client.hash, name)
        contents = [content for content in shelf.since(moment, name) if content is not None]
        right = {hashlib.sha256(content[: digest.size]).hexdigest() for content in contents}
        self.world.promises.hold(digest.sha256 in right, "exact", f"the digest of {name}")

    async def _get(self, client: ChatFileClient, name: str) -> None:
        await self._fetch(client, name, b"")

    async def _resume(self, client: ChatFileClient, name: str) -> None:
        content = self.world.shelf.content(name) or b""
        await self._fetch(client, name, content[: self.choose.choice((1, 500, 3000))])

    async def _fetch(self, client: ChatFileClient, name: str, begun: bytes) -> None:
        moment = self.world.shelf.moment
        sink = os.open(self.world.folder / "sink", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        os.unlink(self.world.folder / "sink")
        os.write(sink, begun)
        try:
            received = await self.call(
                "resume" if begun else "get",
                client.get,
                name,
                into=sink,
                offset=len(begun),
                hasher=hashlib.sha256(begun),
            )
            content = os.pread(sink, 1 << 20, 0)
        finally:
            os.close(sink)
        whole = received.verified and is_whole(content, self.world.shelf.since(moment, name))
        self.world.promises.hold(whole, "exact", f"{name} as it came from {len(begun)} on")


class Downloader(Visit):
    """Fetches every file that is listed, ahead of each other, whatever becomes of its connections."""

    async def act(self) -> None:
        self.shares = True
        await self.again("download all", self._download)
        await self.leave()

    async def _download(self) -> None:
        client = self._client()
        rows = await self.call("list", client.listing)
        ahead = DownloadAhead(rows, self.world.local.path, force=lambda _: False, in_thread=self.in_thread)
        try:
            for number, row in enumerate(rows):
                await self._fetch(ahead, number, row)
        finally:
            ahead.close()

    def _client(self) -> ChatFileClient:
        assert self.client is not None
        return self.client

    async def _fetch(self, ahead: DownloadAhead, number: int, row: wire.FileRow) -> None:
        try:
            await self.attempt("download", ahead.download(self._client(), number), row.name)
        except (errors.Refusal, errors.LocalFileError, errors.DigestMismatch):
            if not self._client().is_receiving:
                raise  # it was that of a server that closes
        except errors.ServerClosed:
            await self.connect()
            await self.attempt("download", ahead.download(self._client(), number), row.name)


class Single(Visit):
    """Fetches one file, and gives up in the middle at times, as Ctrl-C does."""

    async def act(self) -> None:
        self.shares = True
        self._name = self.choose.choice(NAMES)
        for _ in range(self.choose.randint(0, 2)):
            await self._give_up_soon()
        await self.again(f"get {self._name}", self._download)
        await self.leave()

    async def _give_up_soon(self) -> None:
        self.is_cancelled = True
        trying = Deferred.fromCoroutine(self._did(self._download))
        giving_up = self.world.schedule.later(self.world.schedule.soon(1.0), trying.cancel)
        try:
            await trying
        except CancelledError:
            self.world.schedule.note("gives up", self.name)
        if giving_up.active():
            giving_up.cancel()
        if self.client is not None:
            self.client.abort()

    async def _download(self) -> None:
        assert self.client is not None
        force = self._name not in self.world.local.own and self.world.schedule.chance(0.3)
        fetching = download(self.client, self._name, self.world.local.path, force=force, in_thread=self.in_thread)
        try:
            await self.attempt("download", fetching, self._name)
        except (errors.NoSuchFile, errors.LocalFileError):
            return  # there is nothing that could be done


class Mirrorer(Visit):
    """Mirrors the folder into one of its own, twice."""

    async def act(self) -> None:
        self.shares = True
        for _ in range(2):
            await self.again("mirror", self._mirror)
            await self.world.schedule.sleep(self.world.schedule.soon(2.0))
        await self.leave()

    async def _mirror(self) -> None:
        assert self.client is not None
        rows = await self.call("list", self.client.listing)
        mirror = Mirror(rows, "", self.world.mirrored.path, in_thread=self.in_thread)
        try:
            await self.attempt("begin", mirror.begin())
            await self.attempt("remove", mirror.remove_gone(lambda *_: None))
            for number, row in enumerate(mirror.rows):
                await self._fetch(mirror, number, row)
        finally:
            await self.attempt("finish", mirror.finish())

    async def _fetch(self, mirror: Mirror, number: int, row: wire.FileRow) -> None:
        assert self.client is not None
        try:
            await self.attempt("download", mirror.download(self.client, number), row.name)
        except (errors.Refusal, errors.LocalFileError, errors.DigestMismatch):
            if not self.client.is_receiving:
                raise


class Neighbour(Visit):
    """Asks for what is never slow, and is always answered at once, whatever the others ask for."""

    async def act(self) -> None:
        try:
            client = await self.connect()
            for _ in range(self.choose.randint(4, 12)):
                await self._ask(client)
                await self.world.schedule.sleep(self.world.schedule.soon(1.5))
        except OVER:
            pass  # it was judged
        await self.leave()

    async def _ask(self, client: ChatFileClient) -> None:
        began = self.world.schedule.now
        what = self.choose.choice(("send", "hash", "read"))
        await self.call(what, getattr(client, what), CALM, **({"most": 1 << 20} if what == "read" else {}))
        taken, late = self.world.schedule.now - began, 12 * self.world.plan.latency
        plan = self.world.plan
        if not self._is_disturbed() and not plan.rate and not plan.server_disk.failing:  # there may be no threads
            self.world.promises.hold(taken <= PROMPT + late, "independent", f"{what} took {taken:.2f} s")


class Newcomer(Visit):
    """Comes when everybody has gone, and gets all that it wants."""

    async def act(self) -> None:
        client = await self.connect()
        own = self.world.local.own
        rows = await self.call("list", client.listing)
        for row in rows:
            if row.name not in own:
                fetching = download(client, row.name, self.world.local.path, force=True, in_thread=self.in_thread)
                await self.attempt("download", fetching, row.name)
        mirror = Mirror(
            rows,
            "",
            self.world.mirrored.path,
            force=True,
            takes=MirrorFilter(exclude=list(own)),
            in_thread=self.in_thread,
        )
        await mirror.begin()
        await mirror.remove_gone(lambda *_: None)
        for number in range(len(mirror.rows)):
            await self.attempt("download", mirror.download(client, number))
        await mirror.finish()
        await self.attempt("exit", client.exit())
