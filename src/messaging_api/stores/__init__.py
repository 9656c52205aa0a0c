"""The places that keep messages. `open_store` is the only way in."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from messaging_api.errors import SettingsError
from messaging_api.store import Store
from messaging_api.stores.batching import UNWATCHED, Instruments
from messaging_api.stores.redis import RedisStore
from messaging_api.stores.sqlite import SqliteStore

SCHEMES = ("sqlite", "redis", "rediss")


def open_store(url: str, clock: Callable[[], int], timeout: float = 1.5, instruments: Instruments = UNWATCHED) -> Store:
    """The store at `url`. `clock` gives ms since the epoch; `timeout`, in seconds, bounds every operation.

    Opening does not wait for a server: one that is away is found by the first operation. Raises SettingsError for
    an address that cannot be meant, StoreUnavailable for a file that cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        return SqliteStore(sqlite_path(url), clock, timeout, instruments, **_sizes(url))
    if scheme in ("redis", "rediss"):
        return RedisStore(url, timeout, instruments)
    raise SettingsError(f"store must be an address that begins with {'://, '.join(SCHEMES)}://.")


def sqlite_path(url: str) -> str:
    """The file that sqlite:///absolute/path.db means. Raises SettingsError."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/") or parts.path.endswith("/"):
        raise SettingsError("store: write sqlite:///absolute/path.db, with three slashes.")
    return parts.path


def _sizes(url: str) -> dict[str, int]:
    options = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    size = options.pop("max_bytes", "0")
    if options or not size.isascii() or not size.isdecimal():
        raise SettingsError("store: the one option of sqlite:// is max_bytes, a whole number of bytes.")
    return {"max_bytes": int(size)}
