"""Lua scripts: called by their hash, or by their text if the server does not know the hash."""

from hashlib import sha1
from importlib.resources import files

from messaging_api.stores.redis.connection import Command

_TEXTS: dict[bytes | str, bytes] = {}
"""The text of each script by its hash."""


class Script:
    """A Lua script from the folder `lua`, which can call the functions of `libraries` in the same folder."""

    def __init__(self, name: str, *libraries: str) -> None:
        head, _, body = _read(name).partition(b"\n")  # the flags of a script must be its first line
        text = b"\n".join([head, *map(_read, libraries), body])
        self._hash = sha1(text, usedforsecurity=False).hexdigest()
        _TEXTS[self._hash] = text

    def call(self, keys: int, *arguments: bytes | str) -> Command:
        """Return the command that calls the script; the first `keys` of `arguments` are its keys."""
        return ("EVALSHA", self._hash, str(keys), *arguments)


def _read(name: str) -> bytes:
    return files(__package__).joinpath("lua", name).read_bytes()


def as_eval(command: Command) -> Command:
    """Return `command` with the text of its script instead of the hash, for a server that may not know it."""
    return ("EVAL", _TEXTS[command[1]], *command[2:]) if command[0] == "EVALSHA" else command
