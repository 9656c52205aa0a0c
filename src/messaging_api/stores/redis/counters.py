"""Counters in Redis: one key per client and kind, which expires with its window."""

from collections.abc import Iterable
from functools import lru_cache, partial

from messaging_api.core.pending import Pending, begun
from messaging_api.core.ratelimit import WINDOW_MS, Kind, WindowCounts
from messaging_api.errors import NotExecuted, StoreError
from messaging_api.stores.coalescing import CountGroup, resolve_group
from messaging_api.stores.redis.connection import Command
from messaging_api.stores.redis.node import CommandChannel
from messaging_api.stores.redis.replies import UnexpectedReply
from messaging_api.stores.redis.scripts import Script

LIMIT = Script("limit.lua")
_WINDOW = str(WINDOW_MS)


class RedisCounters:
    """The counters under `prefix`. They go through `channel`, which need not wait for replicas."""

    def __init__(self, prefix: bytes, channel: CommandChannel) -> None:
        self._prefix = prefix
        self._channel = channel

    def run(self, groups: Iterable[CountGroup]) -> None:
        """Send one command for each of `groups`, and resolve it with the reply."""
        for group in groups:
            command = _command(self._prefix, *group[0].request, len(group))
            # ahead, so that its reply comes before that of the look-up beside it, and no request waits twice
            begun(self._channel.submit(command, ahead=True)).on_result(partial(_resolve, group))


@lru_cache(4096)
def _command(prefix: bytes, client: bytes, add: Kind | None, look: Kind | None, times: int) -> Command:
    """Return the command that counts; the counters of one client lie in one slot of a cluster."""
    increments = {kind: number for kind, number in ((add, times), (look, 0)) if kind is not None}
    keys = [b"%blimit:{%b}:%b" % (prefix, client.hex().encode(), kind.encode()) for kind in increments]
    return LIMIT.call(len(keys), *keys, _WINDOW, *map(str, increments.values()))


def _resolve(group: CountGroup, reply: Pending[list[int]]) -> None:
    numbers = reply.outcome()
    if isinstance(numbers, StoreError):
        resolve_group(group, numbers)
    elif isinstance(numbers, BaseException):
        resolve_group(group, NotExecuted("Redis gave no reply."))
    else:
        resolve_group(group, _counts(numbers, *group[0].request[1:]))


def _counts(numbers: list[int], add: Kind | None, look: Kind | None) -> WindowCounts | StoreError:
    try:
        sum(numbers)  # raises TypeError unless all of them are numbers
        if len(numbers) == (4 if add and look else 2):
            return WindowCounts(*numbers) if add else WindowCounts(0, 0, *numbers)
    except TypeError:
        pass
    return UnexpectedReply()
