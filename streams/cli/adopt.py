"""The commands ``rescind adopt``: arguments here, work elsewhere."""
# Annotations are read here when the module is, so they are no strings.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.adopt_options import (
    OPERATORS,
    AuthorityName,
    DryRun,
    ListByDefault,
    logs,
    run,
    system,
)
from streams.cli.server_options import Plain, Url
from streams.cli.server_options import ServerTokenFile as TokenFile

if TYPE_CHECKING:
    from streams.adopt.listing import Listing
    from streams.cli.adopt_source import ListingSource

adopt_app = typer.Typer(
    cls=ListByDefault,
    help="Declare credentials that exist already: a list, or what a system lists.",
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
    """Declare the credentials of a list of your own; can be repeated."""
    from streams.cli.adopt_listing import DeclareOptions, adopt_file  # noqa: PLC0415 - quick help

    order = DeclareOptions(authority, dry_run=dry_run, output=output)
    run(url, token_file, lambda client: adopt_file(client, file, order))


@system(adopt_app, "openbao", "openbao")
def openbao(
    source: "ListingSource",
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
    from streams.adopt import openbao as lists  # noqa: PLC0415 - --help stays quick

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
        str, typer.Option("--region", help="Of IAM, where that is not us-east-1.")
    ] = "",
) -> "Listing":
    """IAM users, passwords, access keys, by AWS_ACCESS_KEY_ID and its like."""
    from streams.adopt import aws, aws_api  # noqa: PLC0415 - --help stays quick
    from streams.pollers.sigv4 import Signer  # noqa: PLC0415 - as above

    if source.files:
        return aws.of_files(source.contents(), source.saved)
    sign = source.signing(Signer("iam", region or "us-east-1"))
    return source.walk(aws_api.walk(source.now), {}, sign=sign)


@system(adopt_app, "okta", "okta")
def okta(source: "ListingSource") -> "Listing":
    """Okta users, OAuth clients, service apps and API tokens (OKTA_API_TOKEN)."""
    from streams.adopt import okta as lists  # noqa: PLC0415 - --help stays quick

    if source.files:
        return lists.of_documents(source.documents())
    token = source.secret("OKTA_API_TOKEN")
    scheme = "Bearer" if token.startswith("eyJ") else "SSWS"
    return source.walk(lists.walk(source.base), {"Authorization": f"{scheme} {token}"})


@system(adopt_app, "keycloak", "keycloak")
def keycloak(
    source: "ListingSource",
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
    from streams.adopt import keycloak as lists  # noqa: PLC0415 - --help stays quick

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
    client = {"client_id": client_id, "client_secret": credential}
    return source.walk(walk, {}, tokens=(tokens, client))


@system(adopt_app, "kubernetes", "kubernetes")
def kubernetes(
    source: "ListingSource",
    cluster: Annotated[
        str, typer.Option("--cluster", help="Its name, where a realm has several.")
    ] = "",
    issuer: Annotated[
        str, typer.Option("--issuer", help="Of its service account tokens.")
    ] = "",
) -> "Listing":
    """Kubernetes service accounts and token secrets (KUBERNETES_TOKEN)."""
    from streams.adopt import kubernetes as lists  # noqa: PLC0415 - --help stays quick

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
            "--part", help="Of tokens, installations, deploy-keys; can be repeated."
        ),
    ] = None,
) -> "Listing":
    """GitHub tokens, app installations and deploy keys (GITHUB_TOKEN)."""
    from streams.adopt import github as lists  # noqa: PLC0415 - --help stays quick

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
        typer.Option("--source", help="Name of the source; guessed from the content."),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="YAML file that maps a JSON log.", exists=True),
    ] = None,
) -> "Listing":
    """Every credential that a log shows in use, with the lineage that it tells."""
    return source.log(format_, mapping)
