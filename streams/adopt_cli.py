"""The commands ``rescind adopt``: arguments here, work elsewhere."""
# Annotations are read here when the module is, so they are no strings.

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypedDict,
    get_type_hints,
)

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from streams.adopt.listing import Listing
    from streams.adopt_source import Source
    from streams.client import Client

OPERATORS: Final = "operators"


class _ListByDefault(TyperGroup):
    """``rescind adopt FILE`` is ``rescind adopt list FILE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


adopt_app = typer.Typer(
    cls=_ListByDefault,
    help="Declare credentials that exist already: a list, or what a system lists.",
    no_args_is_help=True,
)

Plain = Annotated[
    Literal["table", "json"], typer.Option("--output", help="How to print.")
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Of the server; else RESCIND_URL, or the data folder."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="Of the server; else RESCIND_TOKEN, RESCIND_TOKEN_FILE, the data folder.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would be declared; tell no server."),
]
AuthorityName = Annotated[
    str,
    typer.Option(
        "--authority",
        help="In whose name it is declared, so that its later events supersede it.",
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Saved answers, instead of --from.", metavar="FILE"),
]
From = Annotated[
    str, typer.Option("--from", metavar="URL", help="Of the system, to ask it.")
]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", help="Holds the credential that opens the system."),
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", help="Certificates to trust, PEM.", exists=True),
]
RosterFile = Annotated[
    Path | None,
    typer.Option(
        "--roster",
        help="Remember the list here: the next run sends what changed, and tells what "
        "is listed no more.",
    ),
]
Worker = Annotated[
    str | None,
    typer.Option(
        "--worker",
        metavar="URL",
        help="On Kafka, where --url is ingress: the worker that has the realm.",
    ),
]


@adopt_app.command("list")
def declared(
    file: Annotated[
        Path, typer.Argument(help="CSV with column names, or a JSON list.")
    ],
    authority: AuthorityName = "operators",
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Declare the credentials of a list of your own; can be repeated."""
    from streams.adopt_command import Order, adopt_file  # noqa: PLC0415 - quick help

    order = Order(authority, dry_run=dry_run, output=output)
    _run(url, token_file, lambda client: adopt_file(client, file, order))


def _run(
    url: str | None,
    token_file: Path | None,
    work: "Callable[[Callable[[], Client]], int]",
) -> None:
    from streams.ask_commands import run  # noqa: PLC0415 - --help stays quick
    from streams.client import client  # noqa: PLC0415 - as above

    raise typer.Exit(run("adopt", lambda: work(lambda: client(url, token_file))))


class _Common(TypedDict):
    """The options that every system has, with their defaults."""

    authority: AuthorityName
    roster: RosterFile
    dry_run: DryRun
    worker: Worker
    output: Plain
    url: Url
    token_file: TokenFile


class _Asked(TypedDict):
    """The options of systems that can be asked."""

    files: Files
    base: From
    secret_file: SecretFile
    ca: Ca


Read = Callable[..., "Listing"]


def _system(name: str, authority: str, *, asked: bool = True) -> Callable[[Read], Read]:
    """Make a command of a function that reads a listing.

    Its first parameter gets the `Source`; the others are its own options. The options
    that all systems have are added.

    Args:
        name: of the command.
        authority: in whose name it declares without --authority.
        asked: it has an API that can be asked.
    """
    place: dict[str, Any] = {"files": None}
    if asked:
        place |= {"base": "", "secret_file": None, "ca": None}
    common: _Common = {
        "authority": authority, "roster": None, "dry_run": False, "worker": None,
        "output": "table", "url": None, "token_file": None,
    }  # fmt: skip

    def register(read: Read) -> Read:
        def command(**given: Any) -> None:
            from streams.adopt_command import Order, adopt  # noqa: PLC0415 - as below
            from streams.adopt_source import Source  # noqa: PLC0415 - as below

            where = {each: given.pop(each) for each in place}
            files = tuple(where.pop("files") or ())
            shared = {each: given.pop(each) for each in common}
            url, token_file = shared.pop("url"), shared.pop("token_file")

            def work(client: "Callable[[], Client]") -> int:
                source = Source(files, **where).checked()
                chosen = (f"{key}={value}" for key, value in given.items() if value)
                system = " ".join(filter(None, (name, source.base, *chosen)))
                order = Order(system=system, files=files, **shared)
                return adopt(client, read(source, **given), order)

            _run(url, token_file, work)

        hints = [
            get_type_hints(each, include_extras=True) for each in (_Asked, _Common)
        ]
        own = list(signature(read).parameters.values())[1:]
        added = [
            Parameter(
                each, Parameter.KEYWORD_ONLY, default=value, annotation=types[each]
            )
            for defaults, types in zip((place, common), hints, strict=True)
            for each, value in defaults.items()
        ]
        mine = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in own]
        command.__signature__ = Signature([*mine, *added])  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in (*mine, *added)}
        adopt_app.command(name, help=read.__doc__)(command)
        return read

    return register


@_system("openbao", authority="openbao")
def openbao(
    source: "Source",
    device: Annotated[
        str, typer.Option("--device", help="Name of the audit device that is read.")
    ] = "file",
    namespace: Annotated[
        str, typer.Option("--namespace", help="To list; else the root namespace.")
    ] = "",
    *,
    plain_accessors: Annotated[
        bool,
        typer.Option("--plain-accessors", help="The device has hmac_accessor=false."),
    ] = False,
) -> "Listing":
    """Tokens of OpenBao or Vault, by accessor (BAO_TOKEN, VAULT_TOKEN)."""
    from streams.adopt import openbao as system  # noqa: PLC0415 - --help stays quick

    below = f"{namespace.strip('/')}/" if namespace.strip("/") else ""
    options = system.Options(device, plain_accessors, below)
    if source.files:
        return system.of_documents(source.documents(), options)
    headers = {"X-Vault-Token": source.secret("BAO_TOKEN", "VAULT_TOKEN")}
    if below:
        headers["X-Vault-Namespace"] = below
    return source.walk(system.walk(options), headers, "/v1")


@_system("aws-credential-report", authority="cloudtrail")
def aws_credential_report(
    source: "Source",
    region: Annotated[
        str, typer.Option("--region", help="Of IAM, where that is not us-east-1.")
    ] = "",
) -> "Listing":
    """IAM users, passwords, access keys, by AWS_ACCESS_KEY_ID and its like."""
    from streams.adopt import aws, aws_api  # noqa: PLC0415 - --help stays quick

    if source.files:
        return aws.of_files(source.contents(), source.saved)
    return source.walk(
        aws_api.walk(source.now), {}, keys=source.keys(region or "us-east-1")
    )


@_system("okta", authority="okta")
def okta(source: "Source") -> "Listing":
    """Okta users, OAuth clients, service apps and API tokens (OKTA_API_TOKEN)."""
    from streams.adopt import okta as system  # noqa: PLC0415 - --help stays quick

    if source.files:
        return system.of_documents(source.documents())
    token = source.secret("OKTA_API_TOKEN")
    scheme = "Bearer" if token.startswith("eyJ") else "SSWS"
    return source.walk(system.walk(source.base), {"Authorization": f"{scheme} {token}"})


@_system("keycloak", authority="keycloak")
def keycloak(
    source: "Source",
    realm: Annotated[str, typer.Option("--realm", help="To list.")] = "master",
    client_id: Annotated[
        str,
        typer.Option(
            "--client-id",
            help="Of a client with a service account; the credential is its secret. "
            "Else it is an access token.",
        ),
    ] = "",
    client_realm: Annotated[
        str, typer.Option("--client-realm", help="Of that client; else --realm.")
    ] = "",
    issuer: Annotated[
        str, typer.Option("--issuer", help="Of the realm's tokens, with an export.")
    ] = "",
) -> "Listing":
    """Keycloak users, clients, service accounts, sessions (KEYCLOAK_TOKEN)."""
    from streams.adopt import keycloak as system  # noqa: PLC0415 - --help stays quick

    if source.files:
        (export,) = source.documents()
        return system.of_realm(export, issuer or None, began=source.saved)
    walk = system.walk(realm, source.now())
    credential = source.secret("KEYCLOAK_TOKEN", "KEYCLOAK_CLIENT_SECRET")
    if not client_id:
        return source.walk(walk, {"Authorization": f"Bearer {credential}"})
    tokens = (
        f"{source.base}/realms/{client_realm or realm}/protocol/openid-connect/token"
    )
    client = {"client_id": client_id, "client_secret": credential}
    return source.walk(walk, {}, tokens=(tokens, client))


@_system("kubernetes", authority="kubernetes")
def kubernetes(
    source: "Source",
    cluster: Annotated[
        str, typer.Option("--cluster", help="Its name, where a realm has several.")
    ] = "",
    issuer: Annotated[
        str, typer.Option("--issuer", help="Of its service account tokens.")
    ] = "",
) -> "Listing":
    """Kubernetes service accounts and token secrets (KUBERNETES_TOKEN)."""
    from streams.adopt import kubernetes as system  # noqa: PLC0415 - --help stays quick

    options = system.Options(cluster, issuer)
    if source.files:
        return system.of_documents(source.documents(), options)
    token = source.secret("KUBERNETES_TOKEN")
    return source.walk(system.walk(options), {"Authorization": f"Bearer {token}"})


@_system("github", authority="github")
def github(
    source: "Source",
    org: Annotated[str, typer.Option("--org", help="Login of the organisation.")] = "",
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--part", help="Of tokens, installations, deploy-keys; can be repeated."
        ),
    ] = None,
) -> "Listing":
    """GitHub tokens, app installations and deploy keys (GITHUB_TOKEN)."""
    from streams.adopt import github as system  # noqa: PLC0415 - --help stays quick

    if source.files:
        return system.of_documents(source.documents())
    if not org:
        raise ValueError("name the organisation with --org")
    headers = {
        "Authorization": f"Bearer {source.secret('GITHUB_TOKEN')}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    strange = set(parts or ()) - set(system.PARTS)
    if strange:
        raise ValueError(f"--part {min(strange)!r}: one of {', '.join(system.PARTS)}")
    walk = system.walk(source.base, org, parts or system.PARTS)
    return source.walk(walk, headers)


@_system("access-log", authority=OPERATORS, asked=False)
def access_log(
    source: "Source",
    format_: Annotated[
        str | None,
        typer.Option("--source", help="Name of the source; guessed from the content."),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="YAML file that maps a JSON log.", exists=True),
    ] = None,
) -> "Listing":
    """Every credential that a log shows in use, with the lineage that it tells."""
    return source.log(format_, mapping)
