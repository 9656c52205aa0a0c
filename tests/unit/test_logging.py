"""Logs: rotation at midnight, retention, forged lines and failed writes, with a clock that tests set."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.rotating_file import NAME, DailyFile

MIDNIGHT = 1_893_456_000.0  # 2030-01-01T00:00:00Z
DAY = 86_400


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_midnight_rotates_the_file(tmp_path: Path) -> None:
    """The last line before midnight and the first one after it are in different files."""
    file = DailyFile(str(tmp_path), 400)
    file.write(b"before\n", MIDNIGHT - 0.001)
    yesterday(tmp_path)
    file.write(b"after\n", MIDNIGHT)
    file.close()
    assert (tmp_path / f"{NAME}.291231").read_bytes() == b"before\n"
    assert (tmp_path / NAME).read_bytes() == b"after\n"


def yesterday(folder: Path) -> None:
    """Set the modification time of the file to one second before midnight."""
    os.utime(folder / NAME, (MIDNIGHT - 1, MIDNIGHT - 1))


def _write(folder: str, name: int, midnight: float, barrier: "multiprocessing.synchronize.Barrier") -> None:
    file = DailyFile(folder, 400)
    for n in range(100):
        file.write(b"%d before %d\n" % (name, n), midnight - 1)
    barrier.wait(30)
    for n in range(100):
        file.write(b"%d after %d\n" % (name, n), midnight + 1)
    file.close()


def test_midnight_with_many_processes(tmp_path: Path) -> None:
    """Four processes write over midnight: no line is lost, torn or in the wrong file."""
    today = time.time() // DAY
    midnight = (today + 1) * DAY  # the coming one, since the file system has no clock to turn
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    writers = [context.Process(target=_write, args=(str(tmp_path), n, midnight, barrier)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    for word, path in (("before", f"{NAME}.{time.strftime('%y%m%d', time.gmtime(today * DAY))}"), ("after", NAME)):
        lines = (tmp_path / path).read_text().splitlines()
        assert sorted(lines) == sorted(f"{name} {word} {n}" for name in range(4) for n in range(100))


def test_clock_set_back_loses_no_line(tmp_path: Path) -> None:
    """If the archive of the day exists, the lines are appended to it."""
    (tmp_path / f"{NAME}.291231").write_bytes(b"first\n")
    (tmp_path / NAME).write_bytes(b"second\n")
    yesterday(tmp_path)
    file = DailyFile(str(tmp_path), 400)
    file.write(b"third\n", MIDNIGHT)
    file.close()
    assert (tmp_path / f"{NAME}.291231").read_bytes() == b"first\nsecond\n"


def test_old_files_are_deleted(tmp_path: Path) -> None:
    """Archives older than the retention are deleted at midnight, and nothing else is."""
    for name in ("281126", "281127", "291230", "notes", "1234567"):
        (tmp_path / f"{NAME}.{name}").touch()
    file = DailyFile(str(tmp_path), 400)
    file.write(b"x\n", MIDNIGHT)
    file.close()
    assert names(tmp_path) == {NAME, *(f"{NAME}.{name}" for name in ("281127", "291230", "notes", "1234567"))}


def test_client_cannot_forge_a_line(tmp_path: Path) -> None:
    """Newlines and control characters are escaped."""
    logger = JsonLogger(DailyFile(str(tmp_path), 400), console=-1)
    logger.event("request", client='x\n{"event":"forged"}\r\x1b[2J\u2028')
    (line,) = (tmp_path / NAME).read_bytes().splitlines()
    assert json.loads(line)["client"].startswith("x\n")
    assert b"\x1b" not in line


def test_lines_have_the_request_id_or_null(tmp_path: Path) -> None:
    """An event that concerns a request has its id, any other has null; the line of a request has its own id."""
    logger = JsonLogger(DailyFile(str(tmp_path), 400), console=-1)
    logger.event("one", request_id="abc")
    logger.event("two")
    logger.request("def", '"status":200')
    lines = (tmp_path / NAME).read_text().splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == ["abc", None, "def"]


def test_failed_writes_are_counted_and_reported_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The console reports it once, each failure is counted, and writing resumes when it can."""
    (tmp_path / "file").touch()
    failures: list[None] = []
    logger = JsonLogger(DailyFile(str(tmp_path / "file" / "logs"), 400), on_failure=lambda: failures.append(None))
    for _ in range(3):
        logger.event("one")
    assert len(failures) == 3
    assert capfd.readouterr().err.count("log_file_failed") == 1
    (tmp_path / "file").unlink()
    logger.event("two")
    assert "two" in (tmp_path / "file" / "logs" / NAME).read_text()


@pytest.mark.parametrize(
    "gone", [Path.unlink, lambda path: path.rename(path.with_name("moved"))], ids=["deleted", "moved"]
)
def test_file_that_is_gone_is_opened_again_within_a_second(tmp_path: Path, gone: Callable[[Path], object]) -> None:
    """It is looked for once a second, also when the clock is set back; nothing that was written is moved or lost."""
    file = DailyFile(str(tmp_path), 400)
    for n, now in enumerate((MIDNIGHT + 10, MIDNIGHT + 11, MIDNIGHT + 5)):
        file.write(b"before\n", now)
        gone(tmp_path / NAME)
        file.write(b"within\n", now + 0.5)
        assert not (tmp_path / NAME).exists()
        file.write(b"%d\n" % n, now + 1)
        assert (tmp_path / NAME).read_bytes() == b"%d\n" % n
    file.close()
    assert names(tmp_path) <= {NAME, "moved"}


def test_one_check_for_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines within a second cost no look at the file system."""
    file = DailyFile(str(tmp_path), 400)
    file.write(b"first\n", MIDNIGHT)
    looks: list[None] = []
    stat = Path.stat

    def counted(path: Path, **options: bool) -> os.stat_result:
        looks.append(None)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", counted)
    for n in range(300):
        file.write(b"line\n", MIDNIGHT + n / 100)
    file.close()
    assert len(looks) == 2


def test_reopened_file_has_the_next_line(tmp_path: Path) -> None:
    """After `reopen` the next line goes to the file of that name, at once."""
    logger = JsonLogger(DailyFile(str(tmp_path), 400), console=-1)
    logger.event("one")
    (tmp_path / NAME).rename(tmp_path / "moved")
    logger.reopen()
    logger.event("two")
    assert '"two"' in (tmp_path / NAME).read_text()
    assert '"two"' not in (tmp_path / "moved").read_text()
