"""What an error reply of Redis means. Keeps its first word only: the rest may quote the command."""

import hiredis

from messaging_api.errors import StoreError, StoreFull, StoreUnavailable


class NotExecuted(StoreUnavailable):
    """Refused before anything was done: asking again, here or elsewhere, is safe."""


class MovedRedirect(NotExecuted):
    """The slot belongs to another node of the cluster, at `host` (empty: the one asked) and `port`."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__("Redis answered MOVED.")
        self.host, self.port = host, port


class AskRedirect(MovedRedirect):
    """The slot is on its way to another node: this once it is to be asked, after ASKING."""


class NotMaster(NotExecuted):
    """This server is no master, or no longer."""


_KINDS: dict[str, type[NotExecuted]] = {
    "READONLY": NotMaster,
    "MASTERDOWN": NotMaster,
    "LOADING": NotExecuted,
    "CLUSTERDOWN": NotExecuted,
    "TRYAGAIN": NotExecuted,
    "NOREPLICAS": NotExecuted,
}


def refusal(reply: hiredis.ReplyError) -> StoreError:
    """The error that `reply` means."""
    text = str(reply)
    word, _, rest = text.partition(" ")
    if word == "OOM" or (word == "MISCONF" and "No space left" in text):
        return StoreFull("Redis has no room.")
    if word in ("MOVED", "ASK"):
        host, _, port = rest.rpartition(" ")[2].rpartition(":")
        return (MovedRedirect if word == "MOVED" else AskRedirect)(host, int(port))
    return _KINDS.get(word, StoreUnavailable)(f"Redis answered {word}.")
