"""One frozen Settings, made from mappings that are handed in.

Each field below is one setting: its name is the option (`--log-dir`) and the environment variable
(`MESSAGING_API_LOG_DIR`), its metadata the way it is read and what it means. `MESSAGING_API_<NAME>_FILE` names a file
that holds the value, for secrets that are mounted as files. The option wins over the variable, the variable over the
default.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import platformdirs

from messaging_api.errors import SettingsError
from messaging_api.settings.fields import SettingsSource, SourceName, listed, resolve, setting, whole

ENV_PREFIX = "MESSAGING_API_"
CLIENT_PREFIX = "MESSAGING_API_CLIENT_"
"""Variables of those who send and read: none of the service's business, whether known or not."""


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text, re.ASCII) or not float(text):
        raise ValueError
    return float(text)


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError
    return text.rstrip("/")


def _token_hash(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text, re.ASCII):
        raise ValueError
    return text


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(
        r"https?://[0-9a-z.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", text
    ):
        raise ValueError
    return text


def _default_store() -> str:
    return f"sqlite://{platformdirs.user_data_path('messaging_api')}/messages.db"


def _default_log_dir() -> str:
    return "/var/log/messaging_api" if os.geteuid() == 0 else str(platformdirs.user_log_path("messaging_api"))


@dataclass(frozen=True, slots=True)
class Settings:
    """All that can be set. Lives are in seconds, sizes in bytes."""

    host: str = setting("127.0.0.1", _text, "name or address", "Address to serve on; 0.0.0.0 for all.")
    port: int = setting(5000, whole(0, 65535), "0 to 65535", "Port to serve on; 0 picks a free one.")
    ops_host: str = setting("127.0.0.1", _text, "name or address", "Address of the ops port.")
    ops_port: int = setting(9000, whole(0, 65535), "0 to 65535", "Port of /live, /ready and /metrics.")
    workers: int = setting(os.cpu_count() or 1, whole(1, 256), "1 to 256", "Processes that serve; default: the cores.")
    store: str = setting(_default_store(), _text, "URL", "Where messages are kept.", secret=True)
    store_timeout: float = setting(1.5, _seconds, "seconds", "Longest wait for the store before 503.")
    drain_seconds: int = setting(
        0, whole(0, 600), "0 to 600", "Seconds that /ready says 503 while it still serves, before it stops."
    )
    replicas_to_wait: int = setting(0, whole(0, 9), "0 to 9", "Replicas of Redis that have it before it counts.")
    tls_cert: str = setting("", _text, "file", "Certificate chain in PEM, for https; read anew when it changes.")
    tls_key: str = setting("", _text, "file", "Its key in PEM, without a password.")
    redirect_port: int = setting(0, whole(0, 65535), "0 to 65535", "Plain port that leads to https; 0 = none.")
    max_connections: int = setting(2000, whole(1, 10**6), "1 to 1000000", "Connections a worker keeps; more get 503.")
    max_in_flight: int = setting(
        1000, whole(1, 10**6), "1 to 1000000", "Requests a worker serves at once; more get 503."
    )
    head_timeout: float = setting(10.0, _seconds, "seconds", "Longest wait for the head of a request.")
    body_timeout: float = setting(30.0, _seconds, "seconds", "Longest wait for the body of a request, then 408.")
    send_timeout: float = setting(30.0, _seconds, "seconds", "Longest wait for a client to take an answer.")
    keep_alive: float = setting(75.0, _seconds, "seconds", "How long an idle connection stays open.")
    log_dir: str = setting(
        _default_log_dir(), _text, "folder, or -", "Where messaging_api.log is written; - for the console alone."
    )
    traces_to: str = setting("", _public_url, "http(s)://host/path", "Where OTLP traces are sent; default: nowhere.")
    log_keep_days: int = setting(400, whole(1, 36500), "1 to 36500", "Days for which rotated logs are kept.")
    public_url: str = setting("", _public_url, "http(s)://host[/path]", "What links begin with; default: as asked.")
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting(
        (), listed(ip_network), "networks", "Proxies whose X-Forwarded-For or Forwarded names the client."
    )
    limit_create: int = setting(60, whole(0, 10**6), "0 to 1000000", "Messages a client may create a minute; 0: any.")
    limit_read: int = setting(600, whole(0, 10**6), "0 to 1000000", "Look-ups a client may make a minute; 0: any.")
    limit_miss: int = setting(30, whole(0, 10**6), "0 to 1000000", "Of these, how many may find nothing; 0: any.")
    create_tokens: tuple[str, ...] = setting(
        (), listed(_token_hash), "hashes", "Hashes of the tokens that may create; default: all may.", secret=True
    )
    cors_origins: tuple[str, ...] = setting(
        (), listed(_origin), "origins or *", "Sites whose pages may use this from a browser."
    )
    max_message_bytes: int = setting(65_536, whole(1, 16 * 2**20), "1 to 16777216", "Longest message, in UTF-8.")
    max_ttl: int = setting(604_800, whole(1, 31_622_400), "1 to 31622400", "Longest life of a message, in seconds.")
    default_ttl: int = setting(604_800, whole(1, 31_622_400), "1 to 31622400", "Life of a message when none is asked.")


class ExplainedSetting(NamedTuple):
    """A setting as it stands: `value` is what may be shown, `source` where it came from."""

    name: str
    value: str
    source: SourceName
    variable: str
    shape: str
    meaning: str


def load(options: Mapping[str, str], environ: Mapping[str, str]) -> tuple[Settings, list[ExplainedSetting]]:
    """The settings, and where each came from. Keys of `options` are field names.

    Raises SettingsError, naming the setting and the shape expected, for unknown names with our prefix too.
    """
    ours = {name: text for name, text in environ.items() if not name.startswith(CLIENT_PREFIX)}
    places = [SettingsSource.options(options), SettingsSource.environment(ENV_PREFIX, ours)]
    values, sources = resolve(Settings, places)
    settings = Settings(**values)
    if bool(settings.tls_cert) != bool(settings.tls_key) or (settings.redirect_port and not settings.tls_cert):
        raise SettingsError("tls_cert and tls_key go together, and redirect_port needs them.")
    if settings.default_ttl > settings.max_ttl:
        if sources["default_ttl"] != "default":
            raise SettingsError("default_ttl must not be longer than max_ttl.")
        settings = Settings(**values, default_ttl=settings.max_ttl)
    return settings, [_explain(spec, settings, sources[spec.name]) for spec in fields(Settings)]


def _explain(spec: "Field[Any]", settings: Settings, source: SourceName) -> ExplainedSetting:
    shown = _shown(getattr(settings, spec.name), secret=not spec.repr)
    meta = spec.metadata
    return ExplainedSetting(spec.name, shown, source, ENV_PREFIX + spec.name.upper(), meta["shape"], meta["meaning"])


def _shown(value: object, *, secret: bool) -> str:
    """What may be seen of a value: of an address without its password, of other secrets their number."""
    if isinstance(value, tuple):
        return f"{len(value)} set" if secret and value else ", ".join(map(str, value))
    return re.sub(r"(?<=://)[^@/]*@", "***@", str(value)) if secret else str(value)
