"""What libraries log reaches the log without any text that a client may have sent."""

import asyncio
import contextlib
import gc
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from messaging_api.observability.audit import AuditLog
from messaging_api.observability.libraries import capture_libraries
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import SharedMetrics
from messaging_api.observability.rotating_file import NAME, DailyFile
from messaging_api.web.routes import LABELS

SECRET = "4f1d2c"


@contextlib.contextmanager
def everything_restored() -> Iterator[None]:
    """Restore what `capture_libraries` sets."""
    handlers, shown, unraisable = logging.root.handlers[:], warnings.showwarning, sys.unraisablehook
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        warnings.showwarning, sys.unraisablehook = shown, unraisable


def logged(folder: Path, act: Callable[[], object]) -> list[dict[str, Any]]:
    """Return the lines that `act` causes in a process whose libraries are captured, on the service's event loop."""

    async def main() -> None:
        audit = AuditLog(JsonLogger(DailyFile(str(folder), 400), console=-1), SharedMetrics(1, LABELS).workers[0])
        capture_libraries(audit)
        act()
        for _ in range(3):
            await asyncio.sleep(0)
        audit.report()

    with everything_restored():
        uvloop.run(main())
    path = folder / NAME
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Leaky:
    """An object whose representation is what a client sent."""

    def __repr__(self) -> str:
        return SECRET

    def __del__(self) -> None:
        raise ValueError(SECRET)


def _warn(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(text, DeprecationWarning, stacklevel=1)


def _raise() -> None:
    try:
        {"other": 1}[SECRET]
    except KeyError:
        logging.getLogger("library").exception(f"failed with {SECRET}")


def _fail_in_callback() -> None:
    def callback(_argument: object) -> None:
        raise KeyError(SECRET)

    asyncio.get_running_loop().call_soon(callback, SECRET)


def _fail_in_task() -> None:
    async def fail() -> None:
        raise KeyError(SECRET)

    asyncio.get_running_loop().create_task(fail(), name=SECRET)


def _unraisable() -> None:
    leaky = Leaky()
    del leaky
    gc.collect()


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda: logging.getLogger("a").warning("got %s", SECRET), {"logger": "a", "detail": "got %s"}),
        (lambda: logging.getLogger("a").warning(f"got {SECRET}"), {"logger": "a", "detail": None}),
        (lambda: logging.getLogger("a").error("%d", SECRET), {"level": "error", "detail": "%d"}),
        (lambda: logging.getLogger("a").error(ValueError(SECRET), "x"), {"detail": None}),
        (_raise, {"error": "KeyError", "detail": None, "level": "error"}),
        (lambda: _warn(SECRET), {"logger": "warnings", "error": "DeprecationWarning", "level": "warning"}),
        (_fail_in_callback, {"logger": "asyncio", "error": "KeyError"}),
        (_fail_in_task, {"logger": "asyncio", "error": "KeyError"}),
        (_unraisable, {"logger": "unraisable", "error": "ValueError"}),
    ],
)
def test_record_has_place_and_no_text_of_a_client(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], act: Callable[[], object], expected: dict[str, object]
) -> None:
    """Logger, level, statement and format string are logged; arguments and the texts of exceptions are not."""
    (line,) = logged(tmp_path, act)
    assert line["event"] == "library"
    assert line["reason"]
    assert {name: line[name] for name in expected} == expected
    assert SECRET not in str(line) + "".join(capfd.readouterr())


def test_records_below_warnings_are_dropped(tmp_path: Path) -> None:
    """They are of no use to operators."""
    assert logged(tmp_path, lambda: logging.getLogger("asyncio").info("not worth it")) == []


def test_flood_of_records_is_aggregated(tmp_path: Path) -> None:
    """Records of one statement are two lines with their number, those of another are apart."""

    def flood() -> None:
        for n in range(100):
            logging.getLogger("a").warning("one %s", n)
        logging.getLogger("a").warning("other")

    lines = logged(tmp_path, flood)
    assert sorted((line["detail"] or "", line["count"]) for line in lines) == [("", 1), ("one %s", 1), ("one %s", 99)]


def test_records_of_other_threads_are_logged_by_the_loop(tmp_path: Path) -> None:
    """A thread does not write into the lines that the loop collects."""

    def in_thread() -> None:
        thread = threading.Thread(target=lambda: logging.getLogger("a").warning("from %s", "there"))
        thread.start()
        thread.join()

    (line,) = logged(tmp_path, in_thread)
    assert line["detail"] == "from %s"


def test_record_after_the_end_of_the_loop_is_dropped(tmp_path: Path) -> None:
    """A thread that logs while its process ends causes no error."""
    handlers: list[logging.Handler] = []
    logged(tmp_path, lambda: handlers.extend(logging.root.handlers))
    handlers[0].handle(logging.LogRecord("a", logging.ERROR, "x.py", 1, "late %s", ("x",), None))
