"""The settings of the commands that use the client: options, environment variables and the config file."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from messaging_api.errors import SettingsError
from messaging_api.settings.fields import Reader, SettingsSource, matching, resolve, setting
from messaging_api.settings.server import CLIENT_PREFIX
from messaging_api.urls import complete_base_url


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text, re.ASCII):
        raise ValueError
    return float(text)


def _headers(text: str) -> tuple[str, ...]:
    lines = tuple(line for line in text.splitlines() if line.strip())
    if not lines or not all(re.match("[^ :]+:", line) for line in lines):
        raise ValueError
    return lines


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """All settings of the client. None means not set."""

    server: str | None = setting(
        None, Reader("[http(s)://]host[/path]", complete_base_url), "Server that messages are sent to."
    )
    token: str | None = setting(
        None, matching("characters without spaces", "[!-~]{1,1000}"), "Token to create messages with.", secret=True
    )
    header: tuple[str, ...] = setting(
        (),
        Reader("Name: value, one per line", _headers),
        "Headers to add to every request, as some proxies require.",
        secret=True,
    )
    ca: str | None = setting(
        None, Reader("file", str), "PEM file of certificates to trust instead of the default ones."
    )
    wait: float = setting(
        30.0, Reader("seconds", _seconds), "Time for retries while the server is busy or unreachable; 0: none."
    )


_OF_ITS_SERVER = ("token", "token_file", "header", "header_file")
"""Settings in the config file that apply only to the server named there."""


_OPTIONS = {"server": "--to"}
"""Options whose names are not those of their settings."""


def config_path() -> Path:
    """Return the path of the config file, which need not exist."""
    try:
        return platformdirs.user_config_path("messaging_api") / "config.toml"
    except RuntimeError:  # a user id without a name and a home, as in containers
        return Path("/etc/messaging_api/config.toml")


def client_settings(options: Mapping[str, str | None]) -> ClientSettings:
    """Load the settings. Options win over variables, variables over the config file. Raise SettingsError."""
    given = {name: text for name, text in options.items() if text is not None}
    command_line = SettingsSource("option", given, lambda key: _OPTIONS.get(key, f"--{key.replace('_', '-')}"))
    environ = SettingsSource.environment(CLIENT_PREFIX, os.environ)
    config = SettingsSource.config(config_path(), _config(config_path()))
    elsewhere = {**environ.texts, **command_line.texts}.get("server")
    if elsewhere is not None and not _is_same_server(elsewhere, config.texts.get("server")):
        texts = {name: text for name, text in config.texts.items() if name not in _OF_ITS_SERVER}
        config = config._replace(texts=texts)
    return ClientSettings(**resolve(ClientSettings, [command_line, environ, config])[0])


def _is_same_server(one: str, other: str | None) -> bool:
    try:
        return other is not None and complete_base_url(one) == complete_base_url(other)
    except ValueError:
        return False


def _config(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
            mode = os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise SettingsError(f'{path} must be TOML, such as: server = "https://msg.example"') from None
    secret = next((name for name in ("token", "header") if name in found), None)
    if secret and mode & 0o077:
        raise SettingsError(f"{path} contains a {secret} and other users can read it. Run: chmod 600 {path}")
    return {
        name: "\n".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in found.items()
    }
