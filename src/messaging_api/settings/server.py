"""The settings of the service: one frozen value, made from mappings that are passed in.

Each field of `Settings` is one setting. Its name gives the option (`--log-dir`) and the environment variable
(`MESSAGING_API_LOG_DIR`); its metadata says how it is read and what it means. `MESSAGING_API_<NAME>_FILE` names a file
that contains the value, for secrets that are mounted as files. An option takes precedence over a variable, a variable
over the default.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from messaging_api.errors import SettingsError
from messaging_api.settings.fields import (
    Reader,
    SettingsSource,
    SourceName,
    comma_separated,
    display,
    matching,
    resolve,
    setting,
    text,
    whole,
)
from messaging_api.urls import parse_base_url

ENV_PREFIX = "MESSAGING_API_"
CLIENT_PREFIX = "MESSAGING_API_CLIENT_"
"""Prefix of the client's variables. The service ignores them, known or not."""


def _seconds(number: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", number, re.ASCII) or not float(number):
        raise ValueError
    return float(number)


_HOST = text("name or address")
_PORT = whole(0, 65535)
_MILLION = 10**6
_TIMEOUT = Reader("seconds, 0.001 to 999.999", _seconds)
_FILE = text("file")
_TTL = whole(1, 366 * 86_400)
_NETWORK = Reader("network", ip_network)
_TOKEN_HASH = matching("hash", "[0-9a-f]{64}")
_ORIGIN = matching("origin or *", r"\*|https?://([0-9a-z.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


_LINK = matching("http(s)://…", r"https?://[!-~]+")
_LOGO = matching("SVG or PNG file", r"(?is:.+\.(svg|png))")
_LONGEST_LOGO = 16 * 1024


def _dark_colour(colour: str) -> str:
    """Return `colour` if white text on it has a contrast of 4.5 (WCAG 2.2, relative luminance)."""
    if not re.fullmatch("#[0-9a-f]{6}", colour, re.ASCII):
        raise ValueError
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    if 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) < 4.5:
        raise ValueError
    return colour


def _default_store() -> str:
    try:
        return f"sqlite://{platformdirs.user_data_path('messaging_api')}/messages.db"
    except RuntimeError:  # a user id without a name and a home, as in containers
        return ""


def _default_log_dir() -> str:
    if os.geteuid() == 0:
        return "/var/log/messaging_api"
    try:
        return str(platformdirs.user_log_path("messaging_api"))
    except RuntimeError:  # no home, as above
        return "-"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the service. Lifetimes are in seconds, sizes in bytes."""

    host: str = setting("127.0.0.1", _HOST, "Address to listen on; 0.0.0.0 = all IPv4 addresses.")
    port: int = setting(5000, _PORT, "Port to listen on; 0 = any free port.")
    ops_host: str = setting("127.0.0.1", _HOST, "Address of the operations port.")
    ops_port: int = setting(9000, _PORT, "Port of /live, /ready and /metrics; 0 = any free port.")
    workers: int = setting(
        os.cpu_count() or 1, whole(1, 256), "Number of worker processes.", shown_default="number of CPU cores"
    )
    store: str = setting(
        _default_store(),
        text("URL"),
        "Where messages are stored.",
        shown_default="SQLite in the user's data folder",
        secret=True,
    )
    store_timeout: float = setting(1.5, _TIMEOUT, "Timeout for the store; the response is 503 or 504 after it.")
    drain_seconds: int = setting(
        0, whole(0, 600), "On shutdown, seconds to keep serving while /ready already answers 503."
    )
    replicas_to_wait: int = setting(
        0, whole(0, 9), "Redis replicas that must confirm a write before it is acknowledged."
    )
    tls_cert: str = setting("", _FILE, "Certificate chain (PEM) for HTTPS; loaded again when the file changes.")
    tls_key: str = setting("", _FILE, "Private key (PEM) of the certificate, without a password.")
    redirect_port: int = setting(0, _PORT, "Plain HTTP port that redirects to HTTPS; 0 = none.")
    max_connections: int = setting(2000, whole(1, _MILLION), "Open connections per worker; further ones get 503.")
    max_in_flight: int = setting(1000, whole(1, _MILLION), "Concurrent requests per worker; further ones get 503.")
    head_timeout: float = setting(10.0, _TIMEOUT, "Timeout for receiving the head of a request.")
    body_timeout: float = setting(30.0, _TIMEOUT, "Timeout for receiving the body of a request; 408 after it.")
    send_timeout: float = setting(30.0, _TIMEOUT, "Timeout for sending a response to a client.")
    keep_alive: float = setting(75.0, _TIMEOUT, "How long an idle connection stays open.")
    log_dir: str = setting(
        _default_log_dir(),
        text("folder or -"),
        "Folder of messaging_api.log; - = log to the console only.",
        shown_default="/var/log/messaging_api for root, else the user's log folder",
    )
    traces_to: str = setting("", Reader("http(s)://host/path", parse_base_url), "OTLP endpoint that receives traces.")
    log_keep_days: int = setting(400, whole(1, 36500), "Days to keep rotated log files.")
    public_url: str = setting(
        "",
        Reader("http(s)://host[/path]", parse_base_url),
        "Base URL of the links.",
        shown_default="the address in the request",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting(
        (), comma_separated(_NETWORK), "Proxies whose headers are believed: address of the client, scheme, host."
    )
    forwarded_header: str = setting(
        "x-forwarded-for",
        matching("x-forwarded-for or forwarded", "x-forwarded-for|forwarded"),
        "Header in which those proxies write the client's address; the other one is ignored.",
    )
    limit_create: int = setting(60, whole(0, _MILLION), "Messages created per client per minute; 0 = unlimited.")
    limit_read: int = setting(600, whole(0, _MILLION), "Look-ups per client per minute; 0 = unlimited.")
    limit_miss: int = setting(30, whole(0, _MILLION), "Failed look-ups per client per minute; 0 = unlimited.")
    create_tokens: tuple[str, ...] = setting(
        (),
        comma_separated(_TOKEN_HASH),
        "Hashes of the tokens that allow creating messages.",
        shown_default="none: no token needed",
        secret=True,
    )
    page_name: str = setting("messaging_api", text("text"), "Name of the service on its pages.")
    page_logo: str = setting("", _LOGO, "Logo on the pages, at most 16 KiB.", shown_default="the one of messaging_api")
    page_accent: str = setting(
        "", Reader("#rrggbb, dark enough for white text", _dark_colour), "Colour of buttons and links on the pages."
    )
    page_notice: str = setting("", text("text"), "Notice at the top of the pages.")
    imprint_url: str = setting("", _LINK, "Address of the imprint, for a link in the footer of the pages.")
    privacy_url: str = setting("", _LINK, "Address of the privacy policy, for a link in the footer of the pages.")
    cors_origins: tuple[str, ...] = setting(
        (), comma_separated(_ORIGIN), "Websites whose scripts may use the service from a browser; * = all."
    )
    max_message_bytes: int = setting(65_536, whole(1, 16 * 2**20), "Longest message, in bytes of UTF-8.")
    max_ttl: int = setting(604_800, _TTL, "Longest lifetime of a message, in seconds.")
    default_ttl: int = setting(
        604_800, _TTL, "Lifetime in seconds of a message that specifies none; at most --max-ttl."
    )
    resume_seconds: int = setting(
        60, whole(0, 600), "Seconds in which a reader can repeat a read with its Idempotency-Key; 0 = off."
    )


class ExplainedSetting(NamedTuple):
    """The value in force of a setting, with secrets masked, and where it came from."""

    name: str
    value: str
    source: SourceName
    shape: str
    meaning: str


def load(options: Mapping[str, str], environ: Mapping[str, str]) -> tuple[Settings, list[ExplainedSetting]]:
    """Return the settings, and an explanation of each. Keys of `options` are field names.

    Raises SettingsError, which names the setting and the expected shape; also for unknown variables with our prefix.
    """
    ours = {name: value for name, value in environ.items() if not name.startswith(CLIENT_PREFIX)}
    candidates = [SettingsSource.options(options), SettingsSource.environment(ENV_PREFIX, ours)]
    values, sources = resolve(Settings, candidates)
    settings = Settings(**values)
    if not settings.store:
        raise SettingsError("--store must be set: this user has no home folder for a database.")
    if bool(settings.tls_cert) != bool(settings.tls_key) or (settings.redirect_port and not settings.tls_cert):
        raise SettingsError("tls_cert and tls_key go together, and redirect_port needs them.")
    if settings.page_logo:
        _check_logo(Path(settings.page_logo))
    if settings.default_ttl > settings.max_ttl:
        if sources["default_ttl"] != "default":
            raise SettingsError("default_ttl must not be longer than max_ttl.")
        settings = Settings(**values, default_ttl=settings.max_ttl)
    return settings, [_explain(spec, settings, sources[spec.name]) for spec in fields(Settings)]


def _check_logo(path: Path) -> None:
    try:
        length = path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise SettingsError(f"page_logo: {path} cannot be read: {error.strerror}.") from None
    if length > _LONGEST_LOGO:
        raise SettingsError(f"page_logo: {path} has more than {_LONGEST_LOGO} bytes.")


def _explain(spec: "Field[Any]", settings: Settings, source: SourceName) -> ExplainedSetting:
    value = getattr(settings, spec.name)
    shown = display(value) if spec.repr else _masked(value)
    return ExplainedSetting(spec.name, shown, source, spec.metadata["shape"], spec.metadata["meaning"])


def _masked(value: str | tuple[str, ...]) -> str:
    """Return what may be shown of a secret: a store URL without passwords, of a list only its length."""
    if isinstance(value, tuple):
        return f"{len(value)} set" if value else ""
    without_login = value if value.startswith("sqlite:") else re.sub(r"(?<=://).*@", "***@", value)
    return re.sub(r"(?<=password=)[^&]*", "***", without_login)
