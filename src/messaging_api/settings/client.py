"""What the commands that send and read are told by options, variables and the config file."""

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
from messaging_api.urls import parse_base_url


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text, re.ASCII):
        raise ValueError
    return float(text)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """All that can be set on this side. None: not set."""

    server: str | None = setting(None, Reader("http(s)://host[/path]", parse_base_url), "Where messages are sent to.")
    token: str | None = setting(
        None, matching("characters without spaces", "[!-~]{1,1000}"), "Lets you create there.", secret=True
    )
    ca: str | None = setting(None, Reader("file", str), "Certificates to trust in place of the usual ones, in PEM.")
    wait: float = setting(
        30.0, Reader("seconds", _seconds), "How long to try again when the server is busy or away; 0: never."
    )


_TOKEN = ("token", "token_file")
"""What the config file says for its own server, and must not go to another."""


def config_path() -> Path:
    """Where the config file is, if there is one."""
    return platformdirs.user_config_path("messaging_api") / "config.toml"


def client_settings(options: Mapping[str, str | None]) -> ClientSettings:
    """What holds for this command. Options come first, then variables, then the config file. Raises SettingsError."""
    given = SettingsSource.options({name: text for name, text in options.items() if text is not None})
    environ = SettingsSource.environment(CLIENT_PREFIX, os.environ)
    config = SettingsSource.config(config_path(), _config(config_path()))
    if {**environ.texts, **given.texts}.get("server") not in (None, config.texts.get("server")):
        config = config._replace(texts={name: text for name, text in config.texts.items() if name not in _TOKEN})
    return ClientSettings(**resolve(ClientSettings, [given, environ, config])[0])


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
    if "token" in found and mode & 0o077:
        raise SettingsError(f"{path} holds a token and others may read it: chmod 600 {path}")
    return {name: str(value) for name, value in found.items()}
