"""What an error reply of Redis, or a missing reply, says about the outcome of a command.

Only the code of a reply is kept: the rest may quote the command.
"""

import contextlib

import hiredis

from messaging_api.errors import NotExecuted, OutcomeUnknown, StoreError, StoreFull
from messaging_api.stores.redis.url import Endpoint


class MovedRedirect(NotExecuted):
    """A slot that belongs to another node of the cluster, at `host` ("?": the host of the node that was asked)."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__("Redis answered MOVED.")
        self.host, self.port = host, port


class AskRedirect(MovedRedirect):
    """A slot that is being migrated: send this one command to the other node, after ASKING."""


class NotMaster(NotExecuted):
    """A server that is not a master, or no longer one."""


_REJECTIONS: dict[str, type[NotExecuted]] = {
    "READONLY": NotMaster,
    "MASTERDOWN": NotMaster,
    **dict.fromkeys(("MOVED", "ASK"), NotExecuted),  # to an address that cannot be used
    **dict.fromkeys(("LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF", "BUSY"), NotExecuted),
    **dict.fromkeys(("NOAUTH", "NOPERM", "WRONGPASS", "NOSCRIPT", "CROSSSLOT"), NotExecuted),
    "WRONGTYPE": NotExecuted,  # a damaged record: our scripts read all values before they write
}
"""The codes with which Redis rejects a command before it does anything; scripts with a `#!lua` line included."""
_HARMLESS = frozenset(("GET", "PING", "INFO", "CLUSTER", "ROLE", "SENTINEL"))
"""Commands that change nothing, so that without a reply they count as not executed."""


def without_reply(command: tuple[bytes | str, ...], text: str) -> StoreError:
    """Return the error of `command`, which was sent and got no reply, or one that tells nothing."""
    return NotExecuted(text) if command[0] in _HARMLESS else OutcomeUnknown(text)


def store_error(command: tuple[bytes | str, ...], reply: hiredis.ReplyError) -> StoreError:
    """Return the error that `reply` means for `command`."""
    text = str(reply)
    code, _, rest = text.partition(" ")
    if code == "OOM" or (code == "MISCONF" and "No space left" in text):
        return StoreFull("Redis is full.")
    if code in ("MOVED", "ASK"):
        host, colon, port = rest.rpartition(" ")[2].rpartition(":")
        with contextlib.suppress(ValueError):
            host = host or ("?" if colon else "")
            return (MovedRedirect if code == "MOVED" else AskRedirect)(*Endpoint.parse(host, port))
    detail = f"Redis answered {code}."
    return _REJECTIONS[code](detail) if code in _REJECTIONS else without_reply(command, detail)
