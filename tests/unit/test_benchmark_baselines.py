"""The baselines answer with the recorded bytes, and end with all their processes."""

import base64
import json
from pathlib import Path

import httpx
import pytest
from benchmarks import servers
from benchmarks.load import wait_ready

ANSWERS = {
    method: {"headers": [["content-length", "3"], ["x-method", method]], "body": base64.b64encode(b"abc").decode()}
    for method in ("GET", "POST")
}


@pytest.mark.parametrize(("kind", "workers"), [("uvicorn", 1), ("uvicorn", 2), ("httptools", 1)])
def test_baseline_answers_and_ends(tmp_path: Path, kind: str, workers: int) -> None:
    """Each method has its own response; a second worker ends with the first."""
    (tmp_path / "answers.json").write_text(json.dumps(ANSWERS))
    with servers.baseline(kind, tmp_path / "answers.json", workers) as server:
        wait_ready(server.url)
        for method in ("GET", "POST"):
            answer = httpx.request(method, server.url, content=b"x" if method == "POST" else None)
            assert (answer.content, answer.headers["x-method"]) == (b"abc", method)
        processes = server.processes()
        assert len(processes) == workers
        assert server.memory().total_pss > 0
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
