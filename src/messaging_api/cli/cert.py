"""The command that makes certificates for development."""

import datetime as dt
from pathlib import Path

import rich_click as click

from messaging_api.server.certificates import CertificateFiles, issue, make_authority

_AUTHORITY_DAYS = 3650
_EVERYWHERE = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("certificates"), show_default=True)
@click.option("--file", "file", default="server", show_default=True, help="Name of both files, before .pem and .key.")
@click.option("--days", type=click.IntRange(1, 825), default=365, show_default=True, help="How long it is valid.")
def cert(names: tuple[str, ...], folder: Path, file: str, days: int) -> None:
    """Make a certificate for development, and an authority that signs it.

    NAMES are those of the host: names or addresses; this machine's own by default. The authority is made once for each
    folder: have clients trust its ca.pem, and no other. Keys are readable by you alone; nothing is overwritten.
    """
    certificate, key = folder / f"{file}.pem", folder / f"{file}.key"
    now = dt.datetime.now(dt.UTC)
    try:
        for path in (certificate, key):
            if path.exists():
                raise FileExistsError(f"{path} is there already; it is not overwritten.")
        folder.mkdir(parents=True, exist_ok=True)
        issue(_authority(folder, now), names or _EVERYWHERE, now, days).save(certificate, key)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"messaging-api serve --tls-cert {certificate} --tls-key {key}")
    click.echo(f"curl --cacert {folder / 'ca.pem'} https://{(names or _EVERYWHERE)[0]}:5000")


def _authority(folder: Path, now: dt.datetime) -> CertificateFiles:
    """The folder's own, made when there is none."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() or key.exists():
        return CertificateFiles.load(certificate, key)
    authority = make_authority(now, _AUTHORITY_DAYS)
    authority.save(certificate, key)
    return authority
