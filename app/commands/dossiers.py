"""Commands of dossiers: make one, verify one, keys."""

from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    console_actor,
    load,
    say,
    show_json,
    show_table,
    with_pool,
    write_file,
)
from app.dossier.archive import verify_archive
from app.dossier.collect import Dossier, DossierDesk, alert_dossier, premises_dossier
from app.dossier.keys import NoKey, new_signing_key, public_pem, read_public
from app.settings import Settings

dossier = typer.Typer(
    no_args_is_help=True, help="Everything known of a household or an incident, as one signed archive."
)
OutputOption = Annotated[Path, typer.Option(help="Where the archive goes.")]


@dossier.command("premises")
def dossier_premises(
    context: typer.Context, code: Annotated[str, typer.Argument(help="Code of the premises.")], output: OutputOption
) -> None:
    """Write all that is known of a household: readings, alerts, visits, photos, hazards, requests, cases. Audited.

    Evidence that the archive had to go without is named, here and in it.
    Exit codes: 0 written, 1 no such premises or no signing key, 2 wrong usage or settings.
    """

    async def work(pool: asyncpg.Pool, settings: Settings) -> Dossier:
        return await premises_dossier(_desk(pool, settings), code, console_actor())

    _write(with_pool(context, work), output)


@dossier.command("alert")
def dossier_alert(
    context: typer.Context, alert_id: Annotated[int, typer.Argument(help="The alert.")], output: OutputOption
) -> None:
    """Write all that is known of an incident: timeline, readings around it, visits, photos, commands, audit. Audited.

    Evidence that the archive had to go without is named, here and in it.
    Exit codes: 0 written, 1 no such alert or no signing key, 2 wrong usage or settings.
    """

    async def work(pool: asyncpg.Pool, settings: Settings) -> Dossier:
        return await alert_dossier(_desk(pool, settings), alert_id, console_actor())

    _write(with_pool(context, work), output)


def _desk(pool: asyncpg.Pool, settings: Settings) -> DossierDesk:
    return DossierDesk.of(pool, settings.dossier, settings.evidence, settings.roster)


def _write(made: Dossier, output: Path) -> None:
    write_file(made.archive, output)
    for sentence in made.lacking:
        say(sentence)


@dossier.command("verify")
def dossier_verify(
    file: Annotated[Path, typer.Argument(help="The archive.")],
    key: Annotated[Path, typer.Option(help="Public key (PEM) of who made it, not the one inside the archive.")],
    as_json: JsonOption = False,
) -> None:
    """Check that an archive is whole, unaltered and signed by a key, and which evidence it lacks. Needs no database.

    Exit codes: 0 whole, 1 altered or not signed by this key, 2 wrong usage, 3 whole, and it says that evidence lacks.
    """
    try:
        verdict = verify_archive(file.read_bytes(), read_public(key.read_bytes()))
    except OSError as error:
        raise WentWrong(f"{error.filename} cannot be read: {error.strerror}") from error
    except NoKey as error:
        raise WentWrong(f"{key}: {error}") from error
    if as_json:
        show_json(
            {
                "whole": not verdict.faults,
                "faults": verdict.faults,
                "lacking": verdict.lacking,
                "manifest": verdict.manifest,
            }
        )
    elif not verdict.faults:
        facts = [(name, value) for name, value in verdict.manifest.items() if name not in {"files", "evidence"}]
        counts = [(name, len(verdict.manifest.get(name, []))) for name in ("files", "evidence")]
        show_table(f"{file}: whole and signed", ["fact", "value"], [*facts, *counts])
    if verdict.faults:
        raise WentWrong("; ".join(verdict.faults))
    for sentence in verdict.lacking:
        say(sentence)
    if verdict.lacking:
        raise typer.Exit(3)


@dossier.command("public-key")
def dossier_public_key(
    context: typer.Context, output: Annotated[Path | None, typer.Option(help="Default: standard output.")] = None
) -> None:
    """Write the public key that verifies our dossiers: give it to those who will check, apart from the archives.

    Exit codes: 0 written, 1 no signing key, 2 wrong usage or settings.
    """
    write_file(public_pem(load(context).settings.dossier.key()), output)


@dossier.command("new-key")
def dossier_new_key() -> None:
    """Print a new signing key for GASWARDEN_DOSSIER__SIGNING_KEY. Old archives need the old public key."""
    typer.echo(new_signing_key())
    say("set it as GASWARDEN_DOSSIER__SIGNING_KEY; it is shown only here")
