"""TLS versions and ciphers, by trying all that openssl knows; and certificates renewed repeatedly under load."""

import subprocess
import time
from pathlib import Path

from tests.integration.test_tls import Load, make, renew, s_client, secured, serial, trusting
from tests.support.programs import require
from tests.support.service import wait_for

FLAGS = {"TLSv1": "-tls1", "TLSv1.1": "-tls1_1", "TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}


def suites(version: str) -> list[str]:
    """Return all cipher suites that openssl has for a version."""
    asked = [require("openssl"), "ciphers", "-s", FLAGS[version], "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip().split(":")


def test_only_forward_secret_ciphers_are_accepted(tmp_path: Path) -> None:
    """Only TLS 1.2 and 1.3 are accepted, with an ephemeral key and authenticated encryption."""
    make(tmp_path / "certificates")
    agreed: list[str] = []
    with secured(tmp_path, tmp_path / "certificates") as service:
        tried = 0
        for version, flag in FLAGS.items():
            for suite in suites(version):
                chosen = ["-ciphersuites", suite] if version == "TLSv1.3" else ["-cipher", f"{suite}:@SECLEVEL=0"]
                told = s_client(service, flag, *chosen)
                tried += 1
                if "Cipher is (NONE)" not in told:
                    agreed.append(f"{version} {suite}")
    print(f"\n{tried} tried, agreed: {', '.join(agreed)}")
    assert tried > 100
    assert {name.split()[0] for name in agreed} == {"TLSv1.2", "TLSv1.3"}
    assert all("ECDHE-ECDSA" in name for name in agreed if name.startswith("TLSv1.2"))
    assert all("GCM" in name or "CHACHA20" in name for name in agreed)


def test_repeated_renewal_fails_no_request(tmp_path: Path) -> None:
    """With a new certificate every two seconds, no request fails on old or new connections."""
    certificates = tmp_path / "certificates"
    make(certificates)
    with secured(tmp_path, certificates) as service, Load(service.url, trusting(certificates)) as load:
        load.goes_on()
        ends, renewals = time.monotonic() + 60, 0
        while time.monotonic() < ends:
            renewed = renew(certificates)
            renewals += 1
            taken_up = 2 * renewals
            wait_for(lambda: service.log.read_text().count('"event":"tls_renewed"') >= taken_up)  # noqa: B023
            assert serial(service, certificates) == renewed
    print(f"\n{renewals} renewals, {load.answered} requests answered, {len(load.failed)} failed")
    assert load.failed == []
