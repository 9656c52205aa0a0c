"""Loads that several threads make until their block ends."""

import threading
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

Argument = TypeVar("Argument")


class ThreadedLoad:
    """Runs `work` in one thread for each of `arguments` while the block lasts. `work` returns once `_enough` is set."""

    def __init__(self, work: Callable[[Argument], None], arguments: Iterable[Argument]) -> None:
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
