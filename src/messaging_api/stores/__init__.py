"""The places that keep messages. `open_store` is the only way in."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from messaging_api.errors import SettingsError
from messaging_api.store import Store
from messaging_api.stores.batching import UNWATCHED, Instruments
from messaging_api.stores.redis import RedisStore
from messaging_api.stores.shared_counters import SharedCounters
from messaging_api.stores.sqlite import File, SqliteStore

SCHEMES = ("sqlite", "redis", "rediss")


def open_store(
    url: str,
    clock: Callable[[], int],
    timeout: float = 1.5,
    instruments: Instruments = UNWATCHED,
    counters: SharedCounters | None = None,
) -> Store:
    """The store at `url`. `clock` gives ms since the epoch; `timeout`, in seconds, bounds every operation.

    `counters` are those that the processes of this machine share, for a store that has no place of its own for them.

    Opening does not wait for a server: one that is away is found by the first operation. Raises SettingsError for
    an address that cannot be meant, StoreUnavailable for a file that cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        return SqliteStore(sqlite_file(url), clock, timeout, counters or SharedCounters(), instruments)
    if scheme in ("redis", "rediss"):
        return RedisStore(url, timeout, instruments)
    raise SettingsError(f"store must be an address that begins with {'://, '.join(SCHEMES)}://.")


def sqlite_file(url: str) -> File:
    """The file that sqlite:///absolute/path.db[?max_bytes=…] means. Raises SettingsError."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/") or parts.path.endswith("/"):
        raise SettingsError("store: write sqlite:///absolute/path.db, with three slashes.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    size = options.pop("max_bytes", "0")
    if options or not size.isascii() or not size.isdecimal():
        raise SettingsError("store: the one option of sqlite:// is max_bytes, a whole number of bytes.")
    return File(parts.path, int(size))
