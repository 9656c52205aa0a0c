"""The meaning of Redis error replies. Only the code of a reply is kept: the rest may quote the command."""

import contextlib

import hiredis

from messaging_api.errors import StoreError, StoreFull, StoreUnavailable
from messaging_api.stores.redis.url import Endpoint


class NotExecuted(StoreUnavailable):
    """A command that was rejected before it did anything: a retry, here or on another node, is safe."""


class MovedRedirect(NotExecuted):
    """A slot that belongs to another node of the cluster, at `host` ("?": the host of the node that was asked)."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__("Redis answered MOVED.")
        self.host, self.port = host, port


class AskRedirect(MovedRedirect):
    """A slot that is being migrated: send this one command to the other node, after ASKING."""


class NotMaster(NotExecuted):
    """A server that is not a master, or no longer one."""


_NOT_EXECUTED: dict[str, type[NotExecuted]] = {
    "MOVED": NotExecuted,  # to an address that cannot be used
    "ASK": NotExecuted,
    "READONLY": NotMaster,
    "MASTERDOWN": NotMaster,
    "LOADING": NotExecuted,
    "CLUSTERDOWN": NotExecuted,
    "TRYAGAIN": NotExecuted,
    "NOREPLICAS": NotExecuted,
}


def store_error(reply: hiredis.ReplyError) -> StoreError:
    """Return the error that `reply` means."""
    text = str(reply)
    code, _, rest = text.partition(" ")
    if code == "OOM" or (code == "MISCONF" and "No space left" in text):
        return StoreFull("Redis is full.")
    if code in ("MOVED", "ASK"):
        host, colon, port = rest.rpartition(" ")[2].rpartition(":")
        with contextlib.suppress(ValueError):
            host = host or ("?" if colon else "")
            return (MovedRedirect if code == "MOVED" else AskRedirect)(*Endpoint.parse(host, port))
    return _NOT_EXECUTED.get(code, StoreUnavailable)(f"Redis answered {code}.")
