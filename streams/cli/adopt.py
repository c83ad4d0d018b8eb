"""The commands ``rescind adopt``: what each system is asked for."""
# Annotations are read here when the module is, so they are no strings.

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from streams.cli.options import Plain, Url
from streams.cli.options import ServerTokenFile as TokenFile
from streams.cli.options import run as end_with

if TYPE_CHECKING:
    from streams.adopt.listing import Listing
    from streams.cli.adopt_source import ListingSource
    from streams.clients.rescind import Client

OPERATORS: Final = "operators"

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the declarations; call no server."),
]
AuthorityName = Annotated[
    str,
    typer.Option(
        "--authority",
        help="The authority to declare for; its later events replace the declarations.",
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files with saved answers, instead of --from.", metavar="FILE"),
]
From = Annotated[str, typer.Option("--from", metavar="URL", help="URL of the system.")]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", help="File with the credential for the system."),
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", help="Certificates to trust (PEM).", exists=True),
]
RosterFile = Annotated[
    Path | None,
    typer.Option(
        "--roster",
        help="File that records the list: the next run sends the changes, and names "
        "entries that are no longer listed.",
    ),
]
Worker = Annotated[
    str | None,
    typer.Option(
        "--worker",
        metavar="URL",
        help="On Kafka (--url is ingress): URL of the worker that has the realm.",
    ),
]
Logs = Annotated[
    list[Path] | None,
    typer.Argument(help="Log files and folders, gzip too.", metavar="PATH"),
]

Read = Callable[..., "Listing"]


class ListByDefault(TyperGroup):
    """``rescind adopt FILE`` is ``rescind adopt list FILE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command first, where there is none."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def saved_or_asked(
    *, files: Files = None, base: From = "", secret_file: SecretFile = None,
    ca: Ca = None,
) -> None:  # fmt: skip
    """Hold the options of a system that can be asked; never called."""


def logs(*, files: Logs = None) -> None:
    """Hold the argument of a command that reads logs; never called."""


def _all(
    *, roster: RosterFile = None, dry_run: DryRun = False, worker: Worker = None,
    output: Plain = "table", url: Url = None, token_file: TokenFile = None,
) -> None:  # fmt: skip
    """Hold the options that every command has; never called."""


def system(
    app: typer.Typer,
    name: str,
    authority: str,
    place: Callable[..., None] = saved_or_asked,
) -> Callable[[Read], Read]:
    """Make a command of a function that reads a listing.

    Its first parameter gets the `ListingSource`; the others are its own. Those of
    ``place`` and those that every command has are added.

    Args:
        app: gets the command.
        name: of the command.
        authority: in whose name it declares without --authority.
        place: its parameters are options that say where the list is.
    """
    where = signature(place).parameters
    named = Parameter(
        "authority",
        Parameter.KEYWORD_ONLY,
        default=authority,
        annotation=AuthorityName,
    )
    shared = {"authority": named, **signature(_all).parameters}

    def register(read: Read) -> Read:
        def command(**given: Any) -> None:
            found = {each: given.pop(each) for each in where}
            files = tuple(found.pop("files") or ())
            common = {each: given.pop(each) for each in shared}
            url, token_file = common.pop("url"), common.pop("token_file")

            def work(client: "Callable[[], Client]") -> int:
                from streams.cli.adopt_listing import DeclareOptions, adopt
                from streams.cli.adopt_source import ListingSource

                source = ListingSource(files, **found).checked()
                chosen = (f"{key}={value}" for key, value in given.items() if value)
                listed = " ".join(filter(None, (name, source.base, *chosen)))
                order = DeclareOptions(system=listed, files=files, **common)
                return adopt(client, read(source, **given), order)

            run(url, token_file, work)

        own = list(signature(read).parameters.values())[1:]
        options = [
            one.replace(kind=Parameter.KEYWORD_ONLY)
            for one in (*own, *where.values(), *shared.values())
        ]
        command.__signature__ = Signature(options)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in options}
        app.command(name, help=read.__doc__)(command)
        return read

    return register


def run(
    url: str | None,
    token_file: Path | None,
    work: "Callable[[Callable[[], Client]], int]",
) -> None:
    """Do the work with what gives the server's client; end with the exit code."""
    from streams.clients.rescind import client

    raise typer.Exit(end_with("adopt", lambda: work(lambda: client(url, token_file))))


adopt_app = typer.Typer(
    cls=ListByDefault,
    help="Declare existing credentials, from your own list or a system's.",
    no_args_is_help=True,
)


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
    """Declare the credentials of your own list; running it again changes nothing."""
    from streams.cli.adopt_listing import DeclareOptions, adopt_file

    order = DeclareOptions(authority, dry_run=dry_run, output=output)
    run(url, token_file, lambda client: adopt_file(client, file, order))


@system(adopt_app, "openbao", "openbao")
def openbao(
    source: "ListingSource",
    device: Annotated[
        str, typer.Option("--device", help="Name of the audit device that is read.")
    ] = "file",
    namespace: Annotated[
        str,
        typer.Option(
            "--namespace", help="Namespace to list; default: the root namespace."
        ),
    ] = "",
    *,
    plain_accessors: Annotated[
        bool,
        typer.Option(
            "--plain-accessors", help="The audit device has hmac_accessor=false."
        ),
    ] = False,
) -> "Listing":
    """Tokens of OpenBao or Vault, by accessor (BAO_TOKEN, VAULT_TOKEN)."""
    from streams.adopt import openbao as lists

    below = f"{namespace.strip('/')}/" if namespace.strip("/") else ""
    options = lists.VaultOptions(device, plain_accessors, below)
    if source.files:
        return lists.of_documents(source.documents(), options)
    headers = {"X-Vault-Token": source.secret("BAO_TOKEN", "VAULT_TOKEN")}
    if below:
        headers["X-Vault-Namespace"] = below
    return source.walk(lists.walk(options), headers, "/v1")


@system(adopt_app, "aws-credential-report", "cloudtrail")
def aws_credential_report(
    source: "ListingSource",
    region: Annotated[
        str, typer.Option("--region", help="Region of IAM; default: us-east-1.")
    ] = "",
) -> "Listing":
    """IAM users, passwords and access keys (AWS_ACCESS_KEY_ID and others)."""
    from streams.adopt import aws, aws_api
    from streams.pollers.sigv4 import Signer

    if source.files:
        return aws.of_files(source.contents(), source.saved)
    sign = source.signing(Signer("iam", region or "us-east-1"))
    return source.walk(aws_api.walk(source.now), {}, sign=sign)


@system(adopt_app, "okta", "okta")
def okta(source: "ListingSource") -> "Listing":
    """Okta users, OAuth clients, service apps and API tokens (OKTA_API_TOKEN)."""
    from streams.adopt import okta as lists

    if source.files:
        return lists.of_documents(source.documents())
    token = source.secret("OKTA_API_TOKEN")
    scheme = "Bearer" if token.startswith("eyJ") else "SSWS"
    return source.walk(lists.walk(source.base), {"Authorization": f"{scheme} {token}"})


@system(adopt_app, "keycloak", "keycloak")
def keycloak(
    source: "ListingSource",
    realm: Annotated[str, typer.Option("--realm", help="Realm to list.")] = "master",
    client_id: Annotated[
        str,
        typer.Option(
            "--client-id",
            help="Client with a service account, whose secret is the credential; "
            "default: the credential is an access token.",
        ),
    ] = "",
    client_realm: Annotated[
        str,
        typer.Option("--client-realm", help="Realm of that client; default: --realm."),
    ] = "",
    issuer: Annotated[
        str,
        typer.Option("--issuer", help="Issuer of the realm's tokens, for an export."),
    ] = "",
) -> "Listing":
    """Keycloak users, clients, service accounts, sessions (KEYCLOAK_TOKEN)."""
    from streams.adopt import keycloak as lists

    if source.files:
        (export,) = source.documents()
        return lists.of_realm(export, issuer or None, began=source.saved)
    walk = lists.walk(realm, source.now())
    credential = source.secret("KEYCLOAK_TOKEN", "KEYCLOAK_CLIENT_SECRET")
    if not client_id:
        return source.walk(walk, {"Authorization": f"Bearer {credential}"})
    tokens = (
        f"{source.base}/realms/{client_realm or realm}/protocol/openid-connect/token"
    )
    return source.walk(walk, {}, tokens=(tokens, client_id, credential))


@system(adopt_app, "kubernetes", "kubernetes")
def kubernetes(
    source: "ListingSource",
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster", help="Name of the cluster, if the realm has several."
        ),
    ] = "",
    issuer: Annotated[
        str,
        typer.Option(
            "--issuer", help="Issuer of the cluster's service account tokens."
        ),
    ] = "",
) -> "Listing":
    """Kubernetes service accounts and token secrets (KUBERNETES_TOKEN)."""
    from streams.adopt import kubernetes as lists

    options = lists.ClusterOptions(cluster, issuer)
    if source.files:
        return lists.of_documents(source.documents(), options)
    token = source.secret("KUBERNETES_TOKEN")
    return source.walk(lists.walk(options), {"Authorization": f"Bearer {token}"})


@system(adopt_app, "github", "github")
def github(
    source: "ListingSource",
    org: Annotated[str, typer.Option("--org", help="Login of the organisation.")] = "",
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--part", help="tokens, installations or deploy-keys; can be repeated."
        ),
    ] = None,
) -> "Listing":
    """GitHub tokens, app installations and deploy keys (GITHUB_TOKEN)."""
    from streams.adopt import github as lists

    if source.files:
        return lists.of_documents(source.documents())
    if not org:
        raise ValueError("name the organisation with --org")
    headers = {
        "Authorization": f"Bearer {source.secret('GITHUB_TOKEN')}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    strange = set(parts or ()) - set(lists.PARTS)
    if strange:
        raise ValueError(f"--part {min(strange)!r}: one of {', '.join(lists.PARTS)}")
    walk = lists.walk(source.base, org, parts or lists.PARTS)
    return source.walk(walk, headers)


@system(adopt_app, "access-log", OPERATORS, logs)
def access_log(
    source: "ListingSource",
    format_: Annotated[
        str | None,
        typer.Option(
            "--source", help="Name of the source; default: guessed from the content."
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="YAML file that maps a JSON log.", exists=True),
    ] = None,
) -> "Listing":
    """Credentials that a log shows in use, with their lineage in the log."""
    return source.log(format_, mapping)
