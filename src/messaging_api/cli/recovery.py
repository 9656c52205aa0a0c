"""Recovery files: messages that were fetched but could not be decrypted or written."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import platformdirs
import rich_click as click

from messaging_api.cli.output import flush
from messaging_api.client import Message


@contextmanager
def save_on_failure(message: Message) -> Iterator[None]:
    """If the block fails, save the message as it was fetched: it may be the only copy.

    A message with unlimited reads is not saved, because it can be read again.
    """
    previous = {number: signal.signal(number, _exit_on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except BaseException:
        if message.reads_left is not None:
            _save(message.text)
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    """Turn the signal into an exception, so that a closed terminal does not lose the message."""
    sys.exit(128 + number)


def _save(text: str) -> None:
    for find_folder in (partial(platformdirs.user_state_path, "messaging_api"), Path.cwd):
        try:
            name = _write(find_folder(), text)
        except (OSError, RuntimeError):  # RuntimeError: this user has no home
            continue
        click.echo(f"The message was saved as fetched. To open it: messaging-api read --envelope {name} LINK", err=True)
        return
    click.echo(f"The message could not be saved to a file. This is the message as it was fetched:\n{text}", err=True)


def _write(folder: Path, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(".envelope", "message-", folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            flush(file)
    except OSError:
        Path(name).unlink()
        raise
    return name
