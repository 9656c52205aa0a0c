"""The command `cert`, which makes certificates for development."""

import datetime as dt
from pathlib import Path

import rich_click as click

from messaging_api.server.certificates import CertificateFiles, issue, make_authority

_AUTHORITY_DAYS = 3650
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("certificates"),
    show_default=True,
    help="Output folder.",
)
@click.option(
    "--file",
    "file",
    default="server",
    show_default=True,
    help="File name without .pem and .key.",
)
@click.option("--days", type=click.IntRange(1, 825), default=365, show_default=True, help="Days of validity.")
def cert(names: tuple[str, ...], folder: Path, file: str, days: int) -> None:
    """Make a certificate for development, and an authority that signs it.

    NAMES are the host names or addresses in the certificate. By default they are those of this machine. The authority
    is made once for each folder. Let clients trust its ca.pem and nothing else. Only you can read the keys. Existing
    files are never overwritten.
    """
    certificate, key = folder / f"{file}.pem", folder / f"{file}.key"
    now = dt.datetime.now(dt.UTC)
    try:
        for path in (certificate, key):
            if path.exists():
                raise FileExistsError(f"{path} already exists and is not overwritten.")
        folder.mkdir(parents=True, exist_ok=True)
        issue(_authority(folder, now), names or _LOCAL_NAMES, now, days).save(certificate, key)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"messaging-api serve --tls-cert {certificate} --tls-key {key}")
    click.echo(f"curl --cacert {folder / 'ca.pem'} https://{(names or _LOCAL_NAMES)[0]}:5000")


def _authority(folder: Path, now: dt.datetime) -> CertificateFiles:
    """Load the authority of a folder, or make one."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() or key.exists():
        return CertificateFiles.load(certificate, key)
    authority = make_authority(now, _AUTHORITY_DAYS)
    authority.save(certificate, key)
    return authority
