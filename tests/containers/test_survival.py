"""Each container killed in turn under load: it is restarted, and no acknowledged message is lost."""

import time

import httpx
import pytest

from tests.support.compose_stack import SERVICES, Stack
from tests.support.service import wait_for
from tests.support.threads import ThreadedLoad

TEXT = {"accept": "text/plain"}
BACK = 10.0
"""Seconds after which it has to be there again."""


class Load(ThreadedLoad):
    """A load of posts from four threads that ignores errors and keeps the acknowledged messages."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(self._post, range(4))
        self._stack = stack
        self.acknowledged: dict[str, str] = {}
        self.failed = 0

    def _post(self, n: int) -> None:
        count = 0
        while not self._enough.is_set():
            with self._stack.client() as client:
                try:
                    while not self._enough.is_set():
                        text, count = f"{n}/{count}", count + 1
                        answer = client.post("/", json={"message": text}, timeout=5)
                        if answer.status_code == 200:
                            self.acknowledged[answer.json()["message_id"]] = text
                        else:
                            self._failed()
                except httpx.TransportError:
                    self._failed()

    def _failed(self) -> None:
        self.failed += 1
        time.sleep(0.05)  # what is down is not asked as fast as one can


@pytest.mark.alone
@pytest.mark.parametrize("service", SERVICES)
def test_killed_container_is_restarted_without_loss(unlimited: Stack, service: str) -> None:
    """Posts work again within ten seconds, and every acknowledged message is there."""
    with Load(unlimited) as load:
        wait_for(lambda: len(load.acknowledged) >= 100)
        before, failed = unlimited.inspect(service)["State"]["Pid"], load.failed
        unlimited.kill(service)
        wait_for(lambda: load.failed > failed, BACK)
        reached = len(load.acknowledged)
        wait_for(lambda: len(load.acknowledged) >= reached + 20, BACK)
    assert unlimited.inspect(service)["State"]["Pid"] != before
    with unlimited.client() as client:
        lost = [text for one, text in load.acknowledged.items() if client.get(f"/msg/{one}", headers=TEXT).text != text]
    assert lost == []
