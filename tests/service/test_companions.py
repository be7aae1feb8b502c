"""What lives beside the ports: a fault of one is logged, and is none of the others'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatfile.digests import KnownDigests
from chatfile.digests.keeper import DigestKeeper
from chatfile.service.certificates import Certificates
from chatfile.service.companions import Companions
from chatfile.tls.server import ServerTLS
from tests.digests.test_keeper import HandWorker
from tests.support.certificates import Authority
from tests.support.transports import at_once


class Broken(Service):
    def stopService(self) -> Any:
        raise ZeroDivisionError("ours")


def test_the_last_digests_are_written_though_another_can_not_end(tmp_path: Path, logged_errors: list[str]) -> None:
    state = tmp_path / "state"
    state.mkdir()
    keeper = DigestKeeper(str(state), KnownDigests(), lambda call, *arguments, **named: call(*arguments, **named))
    worker = HandWorker()
    keeper.start(lambda: worker)
    ending = Deferred.fromCoroutine(Companions(keeper=keeper, cluster=Broken()).end(Clock()))
    worker.work()
    assert ending.called
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_certificates_that_can_not_be_read_anew_for_a_fault_of_ours_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    tls = ServerTLS(str(Authority(tmp_path, "ca").issue("server")), None, None)
    monkeypatch.setattr(tls, "read_anew", lambda: 1 / 0)
    Companions(certificates=Certificates(tls, at_once, Clock(), lambda: 0.0)).begin_reload()
    assert len(logged_errors) == 1
    logged_errors.clear()
