"""`gaswarden gateway` and `gaswarden device`: who may publish, by which account, and who tries unregistered."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from pydantic import ValidationError

from app import gateway_accounts as accounts
from app.commands.terminal import (
    JsonOption,
    WentWrong,
    console_actor,
    load,
    say,
    show_json,
    show_table,
    with_connection,
)
from app.embedded import EmbeddedServers, default_directory
from app.embedded.certificates import read_pair
from app.embedded.secrets import checked_gateway_name, new_password
from app.gateway_params import GatewayParams
from ingest.registry import GatewayRow, save_gateways
from ingest.strangers import unregistered_page
from sql import audit, queries
from sql.errors import Conflict, NotFound

gateway = typer.Typer(no_args_is_help=True, help="Gateways: their registration and their account at the broker.")
device = typer.Typer(no_args_is_help=True, help="Devices.")

RunOption = Annotated[
    bool, typer.Option("--run", help="RabbitMQ: call rabbitmqctl here instead of printing the calls.")
]


class Accounts:
    """The accounts of one broker, whichever the settings name; refuses what that broker cannot do."""

    def __init__(self, params: GatewayParams, *, run: bool) -> None:
        self._params = params
        self._run = run

    @property
    def names(self) -> frozenset[str] | None:
        """Who has an account; None where only the broker itself knows (RabbitMQ)."""
        if self._params.broker == "embedded":
            return _embedded().gateway_accounts
        return None if self._params.broker == "rabbitmq" else accounts.account_names(self._passwd_file)

    def give(self, name: str, *, fresh: bool) -> str:
        """Make the account (`fresh`) or change its password; returns the password."""
        checked_gateway_name(name)
        if self._params.broker == "embedded":
            return _embedded().add_gateway(name)
        password = new_password()
        if self._params.broker == "mosquitto":
            accounts.set_account(self._passwd_file, name, password)
            if self._params.acl_file is not None:
                accounts.set_access(self._params.acl_file, name)
            self._reload()
        elif fresh:
            self._call(accounts.rabbitmq_gateway(name, password, self._params.vhost))
        else:
            self._call(accounts.rabbitmq_password(name, password, self._params.vhost))
        return password

    def end(self, name: str) -> None:
        """End the account; raises NotFound when there is none."""
        if self._params.broker == "rabbitmq":
            self._call(accounts.rabbitmq_end(name))
            return
        if self._params.broker == "embedded":
            found = _embedded().drop_gateway(name)
        else:
            found = accounts.drop_account(self._passwd_file, name)
            if self._params.acl_file is not None:
                accounts.drop_access(self._params.acl_file, name)
            self._reload()
        if not found:
            raise NotFound(f"gateway {name} has no account")

    @property
    def _passwd_file(self) -> Path:
        if self._params.passwd_file is None:
            raise WentWrong("GASWARDEN_GATEWAYS__PASSWD_FILE is not set: where Mosquitto keeps its passwords")
        return self._params.passwd_file

    def _reload(self) -> None:
        if self._params.pid_file is not None:
            accounts.reload_broker(self._params.pid_file)
        else:
            say(
                "send Mosquitto a SIGHUP to have it read its files again (GASWARDEN_GATEWAYS__PID_FILE does it for you)"
            )

    def _call(self, calls: list[accounts.Call]) -> None:
        for call in calls:
            if self._run:
                call.run()
            else:
                typer.echo(call.shown())


def _embedded() -> EmbeddedServers:
    directory = default_directory()
    if not (directory / "secrets.toml").exists():
        raise WentWrong(
            "there is no embedded broker here; GASWARDEN_GATEWAYS__BROKER names another (docs/deployment.md)"
        )
    return EmbeddedServers.open(directory)


@gateway.command("add")
def gateway_add(
    context: typer.Context,
    code: str,
    area: Annotated[str, typer.Option(help="District whose topics it publishes under.")],
    interval_s: Annotated[int, typer.Option(help="It is heard at least this often, seconds.")] = 86_400,
    run: RunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Register a gateway, make its account at the broker, and print its password, once. Audited.

    Exit codes: 0 made, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    held = Accounts(load(context).settings.gateways, run=run)
    row = _row(code, area, interval_s)

    async def add(conn: asyncpg.Connection) -> str:
        if code in (held.names or ()):
            raise Conflict(f"gateway {code} has an account; `gaswarden gateway rotate {code}` gives it a new password")
        saved = await save_gateways(conn, [(1, row)])
        if saved.refused:
            raise Conflict(f"gateway {code}: {saved.refused[0][1]}")
        await _record(conn, "gateway.add", code, {"area": area, "interval_s": interval_s})
        await conn.execute(*queries["announce_registry"].bind())
        return held.give(code, fresh=True)

    _show_password(code, with_connection(context, _in_transaction(add)), as_json=as_json)


@gateway.command("rotate")
def gateway_rotate(context: typer.Context, code: str, run: RunOption = False, as_json: JsonOption = False) -> None:
    """Give a gateway a new password and print it, once; the old one is refused from now on. Audited.

    Exit codes: 0 done, 1 there is no such gateway, 2 wrong settings.
    """
    held = Accounts(load(context).settings.gateways, run=run)

    async def rotate(conn: asyncpg.Connection) -> str:
        await _must_be_registered(conn, code)
        await _record(conn, "gateway.rotate", code, {})
        return held.give(code, fresh=False)

    _show_password(code, with_connection(context, _in_transaction(rotate)), as_json=as_json)


@gateway.command("revoke")
def gateway_revoke(context: typer.Context, code: str, run: RunOption = False) -> None:
    """End a gateway's account: it can sign in no more. Its registration and its history stay. Audited.

    Exit codes: 0 revoked, 1 it has no account, 2 wrong settings.
    """
    held = Accounts(load(context).settings.gateways, run=run)

    async def revoke(conn: asyncpg.Connection) -> None:
        await _must_be_registered(conn, code)
        await _record(conn, "gateway.revoke", code, {})
        held.end(code)

    with_connection(context, _in_transaction(revoke))
    say(f"the account of gateway {code} is ended")


@gateway.command("list")
def gateway_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the registered gateways: area, devices, when last heard, whether they have an account.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong settings.
    """
    names = Accounts(load(context).settings.gateways, run=False).names

    async def read(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return list(await conn.fetch(*queries["gateway_list"].bind()))

    found = [
        dict(row) | {"account": None if names is None else row["code"] in names}
        for row in with_connection(context, read)
    ]
    if as_json:
        show_json(found)
        return
    columns = ["code", "area", "expected_interval_s", "devices", "last_received_at", "account"]
    show_table("Gateways", columns, [[row[column] for column in columns] for row in found])


@gateway.command("certificate")
def gateway_certificate(
    context: typer.Context,
    code: str,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make a new one; the old one stays valid until it ends.")
    ] = False,
) -> None:
    """Print a gateway's client certificate and key, and the authority to trust, as PEM. Audited.

    Exit codes: 0 printed, 1 there is no such gateway, 2 wrong settings.
    """
    servers = _embedded()

    async def record(conn: asyncpg.Connection) -> None:
        await _must_be_registered(conn, code)
        await _record(conn, "gateway.certificate", code, {"renew": renew})

    with_connection(context, _in_transaction(record))
    typer.echo(read_pair(servers.gateway_certificate(code, renew=renew)), nl=False)
    typer.echo(servers.mosquitto.authority.certificate.read_text(), nl=False)


@gateway.command("listener")
def gateway_listener(
    tls: Annotated[bool, typer.Option("--tls/--no-tls", help="A port with TLS.")],
    client_certificates: Annotated[bool, typer.Option(help="There, only clients with a certificate of ours.")] = False,
    plain: Annotated[bool, typer.Option("--plain/--no-plain", help="The port without TLS.")] = True,
) -> None:
    """Choose the ports of the embedded broker; they change when it is started next.

    Exit codes: 0 chosen, 1 no port would be left, or there is no embedded broker.
    """
    _embedded().set_listeners(tls=tls, client_certificates=client_certificates, plain=plain)
    say("the embedded broker has these ports from its next start on")


@device.command("unregistered")
def device_unregistered(
    context: typer.Context,
    gateway_code: Annotated[str | None, typer.Option("--gateway", help="Only through this gateway.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most rows shown.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List devices and gateways that publish and are not registered, with how many of their messages wait.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def read(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return await unregistered_page(conn, gateway_code, console_actor(), None, limit)

    found = with_connection(context, read)
    if as_json:
        show_json([dict(row) for row in found])
        return
    columns = ["gateway", "family", "code", "area", "reason", "messages", "waiting", "discarded", "last_received_at"]
    show_table("To be registered", columns, [[row[column] for column in columns] for row in found])


def _row(code: str, area: str, interval_s: int) -> GatewayRow:
    try:
        return GatewayRow(code=code, area=area, expected_interval_s=interval_s)
    except ValidationError as error:
        fault = error.errors()[0]
        raise typer.BadParameter(f"{fault['loc'][0]}: {fault['msg']}") from None


def _in_transaction(
    work: Callable[[asyncpg.Connection], Awaitable[Any]],
) -> Callable[[asyncpg.Connection], Awaitable[Any]]:
    async def run(conn: asyncpg.Connection) -> Any:
        async with conn.transaction():
            return await work(conn)

    return run


async def _must_be_registered(conn: asyncpg.Connection, code: str) -> None:
    if not await conn.fetch(*queries["registered_gateways"].bind(codes=[code])):
        raise NotFound(f"gateway {code} is not registered")


async def _record(conn: asyncpg.Connection, action: str, code: str, details: dict[str, object]) -> None:
    await audit.record(conn, console_actor(), action, f"gateway:{code}", details, datetime.now(UTC))


def _show_password(code: str, password: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"gateway": code, "password": password})
        return
    say(f"gateway {code}: user name and MQTT client id are its code; its password is shown this once:")
    typer.echo(password)
