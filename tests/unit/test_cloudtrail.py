"""What each CloudTrail event does, rule by rule, and the traps around it.

All events here are hand-made (no public sample of UpdateAccessKey/Inactive exists).
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from agents_registry.identifiers import Identifier
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import SECOND, parse_time, rfc3339
from streams.sources.aws.cloudtrail import CloudTrail
from streams.sources.aws.errors import refuses

pytestmark = pytest.mark.unit

ACCOUNT = "111122223333"
KEY, SESSION = "AKIA0000000000000001", "ASIA0000000000000001"
USER = f"arn:aws:iam::{ACCOUNT}:user/dana"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"
TIME = "2026-03-02T09:00:00Z"

DANA = {
    "type": "IAMUser", "principalId": "AIDA1", "accountId": ACCOUNT,
    "arn": f"arn:aws:iam::{ACCOUNT}:user/staff/ops/dana",
    "accessKeyId": KEY, "userName": "dana",
}  # fmt: skip
DEPLOY = {
    "type": "AssumedRole", "principalId": "AROA1:ci", "accountId": ACCOUNT,
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci", "accessKeyId": SESSION,
    "sessionContext": {
        "sessionIssuer": {"type": "Role", "userName": "deploy",
                          "arn": f"arn:aws:iam::{ACCOUNT}:role/teams/deploy"},
        "attributes": {"creationDate": "2026-03-02T08:59:00Z"},
    },
}  # fmt: skip
LAMBDA = {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}


def event(name: str, **values: Any) -> dict[str, Any]:
    """Make an IAM event by dana."""
    return {
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "eventTime": TIME,
        "eventID": "e1",
        "userIdentity": DANA,
        "recipientAccountId": ACCOUNT,
    } | values


def sts(name: str = "AssumeRole", **values: Any) -> dict[str, Any]:
    """Make an STS event that gives a session."""
    return (
        event(
            name,
            eventSource="sts.amazonaws.com",
            requestParameters={"roleArn": ROLE},
            responseElements={
                "credentials": {
                    "accessKeyId": SESSION,
                    "sessionToken": "PLANTED-SESSION-TOKEN",
                    "expiration": "Mar 2, 2026, 10:00:00 AM",
                }
            },
        )
        | values
    )


def read(*made: dict[str, Any]) -> list[Record]:
    """Read events, one a line."""
    return list(CloudTrail().records(b"\n".join(map(orjson.dumps, made))))


def change(made: dict[str, Any]) -> Lifecycle:
    """Give the one lifecycle record of an event."""
    (found,) = [record for record in read(made) if isinstance(record, Lifecycle)]
    return found


def use(made: dict[str, Any]) -> Access:
    """Give the one access of an event."""
    (found,) = [record for record in read(made) if isinstance(record, Access)]
    return found


def parents(record: Lifecycle | Access) -> list[tuple[str, str, str]]:
    """Give kind, value and relation of each parent."""
    return [(p.kind, p.value, p.relation.value) for p in record.parents]


# ------------------------------------------------------------------------- accesses


def test_a_long_lived_key_requires_its_user_without_the_path() -> None:
    """The user is named with a path in uses, without one in IAM calls."""
    found = use(event("ListUsers"))

    assert (Identifier("aws.access_key", KEY),) == found.identifiers
    assert [("aws.user", USER, "requires")] == parents(found)
    assert ("allowed", "dana", None) == (found.outcome, found.owner, found.issued_at)
    assert f"aws:{ACCOUNT}" == found.point


def test_a_role_session_requires_its_role_and_knows_its_issue_time() -> None:
    """The creation date is what a watermark compares with."""
    found = use(event("ListUsers", userIdentity=DEPLOY))

    assert [("aws.role", ROLE, "requires")] == parents(found)
    assert "2026-03-02T08:59:00Z" == rfc3339(found.issued_at)


def test_a_console_session_requires_the_user_and_no_key() -> None:
    """A revoked key does not touch the console sessions of the same person."""
    identity = DANA | {
        "accessKeyId": SESSION,
        "sessionContext": {"attributes": {"creationDate": TIME}},
    }
    found = use(event("X", userIdentity=identity, sessionCredentialFromConsole="true"))

    assert [("aws.user", USER, "requires")] == parents(found)
    assert TIME == rfc3339(found.issued_at)


def test_a_context_on_a_long_lived_key_is_no_issue_time() -> None:
    """It is that of the session in which a service forwards the call."""
    identity = DANA | {"sessionContext": {"attributes": {"creationDate": TIME}}}
    assert use(event("X", userIdentity=identity)).issued_at is None


def test_a_federated_session_requires_its_user_and_its_federated_user() -> None:
    """Both are in the use itself."""
    federated = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    issuer = {"type": "IAMUser", "arn": USER, "userName": "dana"}
    identity = {
        "type": "FederatedUser", "arn": federated, "accessKeyId": SESSION,
        "sessionContext": {"sessionIssuer": issuer},
    }  # fmt: skip
    assert [
        ("aws.user", USER, "requires"),
        ("aws.federated_user", federated, "requires"),
    ] == parents(use(event("X", userIdentity=identity)))


def test_the_root_user_is_a_user() -> None:
    """Its keys hang on arn:...:root."""
    arn = f"arn:aws:iam::{ACCOUNT}:root"
    identity = {"type": "Root", "arn": arn, "accessKeyId": KEY}
    assert [("aws.user", arn, "requires")] == parents(
        use(event("X", userIdentity=identity))
    )


def test_other_partitions_are_kept() -> None:
    """GovCloud and China have their own ARNs."""
    arn = f"arn:aws-us-gov:iam::{ACCOUNT}:user/dana"
    found = change(
        event(
            "DeleteUser",
            userIdentity=DANA | {"arn": arn},
            requestParameters={"userName": "eve"},
        )
    )
    assert arn.replace("dana", "eve") == found.identifiers[0].value


def test_a_service_presents_no_key() -> None:
    """Its events have no credential parent; the service itself is named."""
    found = use(event("Decrypt", userIdentity=LAMBDA))

    assert (Identifier("aws.service", "lambda.amazonaws.com"),) == found.identifiers
    assert () == found.parents


def test_a_caller_without_any_name_gives_no_access() -> None:
    """Cross-account callers are not named in the other account's trail."""
    assert [] == read(event("X", userIdentity={"type": "AWSAccount"}))


@pytest.mark.parametrize(
    ("answer", "outcome"), [("Success", "allowed"), ("Failure", "denied")]
)
def test_a_console_login_presents_the_password(answer: str, outcome: str) -> None:
    """The password is the credential aws.login_profile of the user."""
    identity = {key: DANA[key] for key in DANA if key != "accessKeyId"}
    found = use(
        event(
            "ConsoleLogin",
            eventSource="signin.amazonaws.com",
            userIdentity=identity,
            responseElements={"ConsoleLogin": answer},
        )
    )
    assert (Identifier("aws.login_profile", USER),) == found.identifiers
    assert outcome == found.outcome
    assert [("aws.user", USER, "requires")] == parents(found)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("AccessDenied", "allowed"),
        ("AccessDeniedException", "allowed"),
        ("Client.UnauthorizedOperation", "allowed"),
        ("OptInRequired", "allowed"),
        ("SignatureDoesNotMatch", "denied"),
        ("InvalidClientTokenId", "denied"),
        ("ExpiredTokenException", "denied"),
        ("NoSuchEntityException", "allowed"),
        ("ThrottlingException", "allowed"),
        ("Client.InvalidInstanceID.NotFound", "allowed"),
        ("EntityTemporarilyUnmodifiableException", "allowed"),
    ],
)
def test_only_a_refused_caller_is_denied(code: str, outcome: str) -> None:
    """Another failure came after the credential was accepted: it still works."""
    found = use(event("GetUser", errorCode=code))

    assert (outcome, code) == (found.outcome, found.reason)
    assert refuses(code) == (outcome == "denied")


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("because no identity-based policy allows the s3:PutObject action", "allowed"),
        ("with an explicit deny in an identity-based policy", "denied"),
    ],
)
def test_an_explicit_deny_may_be_the_end_of_a_session(
    message: str, outcome: str
) -> None:
    """AWSRevokeOlderSessions is one; a long-lived key is not ended so."""
    denied = event("PutObject", errorCode="AccessDenied", errorMessage=message)

    assert outcome == use(denied | {"userIdentity": DEPLOY}).outcome
    assert "allowed" == use(denied).outcome


def test_a_user_without_an_arn_is_known_by_its_name() -> None:
    """Failed console logins have none; a name that AWS hides is none."""
    identity = {"type": "IAMUser", "accountId": "111122223333", "userName": "dana"}
    login = {"eventSource": "signin.amazonaws.com", "errorMessage": "No username found"}
    failed = event("ConsoleLogin", userIdentity=identity, **login)

    assert (Identifier("aws.login_profile", USER),) == use(failed).identifiers
    other = use(event("GetUser", userIdentity=identity))
    assert ((Identifier("aws.user", USER),), ()) == (other.identifiers, other.parents)
    hidden = identity | {"userName": "HIDDEN_DUE_TO_SECURITY_REASONS"}
    assert [] == read(event("ConsoleLogin", userIdentity=hidden, **login))


# ------------------------------------------------------------------------ lifecycle


def test_create_access_key_is_both_lifecycle_and_access_in_this_order() -> None:
    """Two records with one event id; the creator's key is administrative only."""
    created = {"accessKeyId": "AKIANEW", "userName": "eve", "status": "Active"}
    made = event("CreateAccessKey", responseElements={"accessKey": created})
    issue, access = read(made)

    assert isinstance(issue, Lifecycle)
    assert isinstance(access, Access)
    assert issue.event_id == access.event_id == "e1"
    assert ("issue", "eve") == (issue.effect, issue.owner)
    assert (Identifier("aws.access_key", "AKIANEW"),) == issue.identifiers
    eve = USER.replace("dana", "eve")
    assert (Identifier("aws.user", eve),) == issue.owners
    assert [
        ("aws.user", eve, "requires"),
        ("aws.access_key", KEY, "created_by"),
    ] == parents(issue)


def test_a_key_that_a_service_made_has_no_creating_key() -> None:
    """CloudFormation calls in someone's name with a key of its own."""
    made = event(
        "CreateAccessKey",
        userIdentity=DANA | {"invokedBy": "cloudformation.amazonaws.com"},
        responseElements={"accessKey": {"accessKeyId": "AKIANEW", "userName": "eve"}},
    )
    assert ["requires"] == [relation for *_, relation in parents(change(made))]


@pytest.mark.parametrize(
    ("status", "effect"), [("Inactive", "suspend"), ("Active", "restore")]
)
def test_update_access_key_suspends_and_restores(status: str, effect: str) -> None:
    """Both name the same aspect, so that one ends the other."""
    found = change(
        event(
            "UpdateAccessKey",
            requestParameters={
                "accessKeyId": "AKIA2", "status": status, "userName": "eve",
            },
        )
    )  # fmt: skip
    assert (effect, "status", "eve") == (found.effect, found.aspect, found.owner)
    assert (Identifier("aws.access_key", "AKIA2"),) == found.identifiers


@pytest.mark.parametrize(
    ("name", "request_", "effect", "target"),
    [
        ("DeleteAccessKey", {"accessKeyId": "AKIA2"}, "revoke",
         ("aws.access_key", "AKIA2")),
        ("DeleteUser", {"userName": "eve"}, "delete_subject",
         ("aws.user", USER.replace("dana", "eve"))),
        ("DeleteLoginProfile", {"userName": "eve"}, "revoke",
         ("aws.login_profile", USER.replace("dana", "eve"))),
        ("DeleteLoginProfile", {}, "revoke", ("aws.login_profile", USER)),
        ("DeleteRole", {"roleName": "deploy"}, "delete_subject", ("aws.role", ROLE)),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_deletions_name_their_target(
    name: str, request_: dict[str, str], effect: str, target: tuple[str, str]
) -> None:
    """Without a user name the caller is meant."""
    found = change(event(name, requestParameters=request_))
    assert (effect, (target,)) == (found.effect, found.identifiers)


def test_a_deleted_role_is_still_honoured_at_the_source() -> None:
    """Its live sessions run to their expiry at AWS: people must know."""
    found = change(event("DeleteRole", requestParameters={"roleName": "deploy"}))
    assert "source_still_honours" == found.reason


def test_create_login_profile_issues_a_password() -> None:
    """The password belongs to the user and to nobody else."""
    found = change(
        event(
            "CreateLoginProfile", responseElements={"loginProfile": {"userName": "eve"}}
        )
    )
    assert "issue" == found.effect
    assert "aws.login_profile" == found.identifiers[0].kind
    assert "requires" == parents(found)[0][2]


@pytest.mark.parametrize(
    "name", ["DeleteAccessKey", "DeleteUser", "DeleteRole", "CreateAccessKey"]
)
def test_a_failed_call_changes_nothing(name: str) -> None:
    """Whatever the code: an error is no revocation."""
    request = {"accessKeyId": "A", "userName": "eve", "roleName": "deploy"}
    for code in ("AccessDenied", "NoSuchEntityException"):
        made = event(name, errorCode=code, requestParameters=request)
        assert [Access] == [type(record) for record in read(made)]


@pytest.mark.parametrize(
    "service", ["elasticache", "transfer", "cognito-idp", "redshift"]
)
def test_another_services_delete_user_is_none_of_ours(service: str) -> None:
    """Event names are shared; the event source decides."""
    made = event(
        "DeleteUser",
        eventSource=f"{service}.amazonaws.com",
        requestParameters={"userName": "eve"},
    )
    assert [Access] == [type(record) for record in read(made)]


# ------------------------------------------------------------------------- sessions


def test_an_assumed_session_requires_the_asking_key_and_the_role() -> None:
    """Lineage, and the expiry in AWS's English."""
    found = change(sts())

    assert (Identifier("aws.access_key", SESSION),) == found.identifiers
    assert [
        ("aws.access_key", KEY, "requires"),
        ("aws.role", ROLE, "requires"),
    ] == parents(found)
    assert "2026-03-02T10:00:00Z" == rfc3339(found.expires_at)
    assert "dana" == found.owner


def test_a_session_that_a_service_asked_for_has_no_credential_parent() -> None:
    """It requires the service and its role."""
    found = change(sts(userIdentity=LAMBDA))
    assert [
        ("aws.service", "lambda.amazonaws.com", "requires"),
        ("aws.role", ROLE, "requires"),
    ] == parents(found)


def test_a_service_in_a_users_name_leaves_the_user_as_parent() -> None:
    """The key belongs to the service, the authority to the user."""
    found = change(
        sts(userIdentity=DANA | {"invokedBy": "cloudformation.amazonaws.com"})
    )
    assert ["aws.service", "aws.user", "aws.role"] == [p.kind for p in found.parents]


@pytest.mark.parametrize(
    ("kind", "provider"),
    [
        ("WebIdentityUser", f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.example"),
        ("SAMLUser", "c2FtbA=="),
    ],
)
def test_a_web_or_saml_session_requires_the_person_and_the_provider(
    kind: str, provider: str
) -> None:
    """No AWS credential was presented."""
    identity = {
        "type": kind, "principalId": "p:q:repo", "userName": "repo",
        "identityProvider": provider,
    }  # fmt: skip
    found = change(sts("AssumeRoleWithWebIdentity", userIdentity=identity))
    assert [
        ("aws.federated_user", f"{provider}/repo", "requires"),
        ("aws.identity_provider", provider, "requires"),
        ("aws.role", ROLE, "requires"),
    ] == parents(found)


def test_source_identity_and_owner_tags_name_the_owner() -> None:
    """What travels along a chain of roles is the real person."""
    tags = [{"key": "team", "value": "x"}, {"key": "Owner", "value": "sam"}]
    request: dict[str, Any] = {"roleArn": ROLE, "tags": tags}
    assert "sam" == change(sts(requestParameters=request)).owner
    request |= {"sourceIdentity": "kim"}
    assert "kim" == change(sts(requestParameters=request)).owner


def test_a_session_token_reaches_no_record() -> None:
    """responseElements.credentials.sessionToken is a live secret."""
    assert "PLANTED-SESSION-TOKEN" not in repr(read(sts()))


# ----------------------------------------------------------- watermarks and leaks


def policy(condition: str, **rule: Any) -> str:
    """Write a policy document as the console does."""
    statement = {
        "Effect": "Deny",
        "Action": ["*"],
        "Resource": ["*"],
        "Condition": {"DateLessThan": {condition: "2026-03-02T08:59:58.123Z"}},
    } | rule
    return orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode()


def put(document: Any, name: str = "AWSRevokeOlderSessions") -> dict[str, Any]:
    """Put a policy on the role."""
    request = {"roleName": "deploy", "policyName": name, "policyDocument": document}
    return event("PutRolePolicy", requestParameters=request)


def test_revoking_older_sessions_is_a_watermark_on_the_role() -> None:
    """T is the condition's value, not the time of the call."""
    found = change(put(policy("aws:TokenIssueTime")))

    assert ("not_before", ((("aws.role", ROLE)),)) == (found.effect, found.identifiers)
    assert "2026-03-02T08:59:58.123Z" == rfc3339(found.not_before)


def test_the_name_alone_is_enough_in_doubt() -> None:
    """An unreadable document revokes up to the time of the event."""
    for document in ("{cut", None, 5, policy("aws:CurrentTime")):
        found = change(put(document))
        assert ("not_before", None) == (found.effect, found.not_before)


def test_another_name_with_the_same_meaning_is_a_watermark() -> None:
    """Scripts write the same policy under their own names."""
    assert "not_before" == change(put(policy("AWS:tokenissuetime"), "kill")).effect


@pytest.mark.parametrize(
    "document",
    [
        policy("aws:CurrentTime"),
        policy("aws:TokenIssueTime", Effect="Allow"),
        policy("aws:TokenIssueTime", Action="s3:GetObject"),
    ],
    ids=["other condition", "allow", "one action"],
)
def test_other_policies_end_nothing(document: str) -> None:
    """A deny of one action, or on another condition, ends no session."""
    assert [Access] == [type(record) for record in read(put(document, "mine"))]


def test_the_quarantine_is_a_leak_and_other_policies_are_not() -> None:
    """AWS attaches it when it finds a key in public."""
    arn = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
    request = {"userName": "eve", "policyArn": arn}
    found = change(event("AttachUserPolicy", requestParameters=request))
    assert ("leak", "aws.user") == (found.effect, found.identifiers[0].kind)

    request["policyArn"] = "arn:aws:iam::aws:policy/AdministratorAccess"
    made = event("AttachUserPolicy", requestParameters=request)
    assert [Access] == [type(record) for record in read(made)]


# ------------------------------------------------------------------------ bad input


def codes(records: list[Record]) -> list[str]:
    """Give the kinds of records, and the codes of the dead letters."""
    return [
        record.reason.split(":")[0]
        if isinstance(record, DeadLetter)
        else type(record).__name__
        for record in records
    ]


def test_an_access_with_an_absurd_clock_is_a_dead_letter() -> None:
    """The year 2451 cannot be joined with anything."""
    made = event("GetUser", eventTime="2451-01-01T00:00:00Z")
    assert ["clock_absurd"] == codes(read(made))


def test_a_revocation_with_an_absurd_clock_still_revokes() -> None:
    """Anything uncertain may revoke: the time is unknown, the dead letter tells."""
    made = event(
        "DeleteAccessKey", eventTime=10**12 * 9, requestParameters={"accessKeyId": "A"}
    )
    found = read(made)
    assert ["Lifecycle", "clock_absurd"] == codes(found)
    assert found[0].occurred_at is None


@pytest.mark.parametrize("time", ["2451-01-01T00:00:00Z", "soon", None])
def test_a_restore_without_a_sound_clock_restores_nothing(time: Any) -> None:
    """Nothing uncertain may allow."""
    made = event(
        "UpdateAccessKey",
        eventTime=time,
        requestParameters={"accessKeyId": "A", "status": "Active"},
    )
    assert len(read(made)) == 1
    assert isinstance(read(made)[0], DeadLetter)


def test_a_revocation_without_a_target_is_given_and_counted() -> None:
    """It is answered, and is the finding revocation_not_applied."""
    found = read(event("DeleteAccessKey", requestParameters=None))
    assert ["Lifecycle", "no_target", "Access"] == codes(found)
    assert isinstance(found[0], Lifecycle)
    assert ("revoke", ()) == (found[0].effect, found[0].identifiers)


def test_an_issue_without_a_target_is_only_counted() -> None:
    """There is nothing that could be allowed."""
    assert ["no_target", "Access"] == codes(read(event("CreateAccessKey")))


def test_what_is_no_cloudtrail_event_is_counted() -> None:
    """A line of another log among the events."""
    assert ["not_cloudtrail"] == codes(read({"hello": "world"}))


def test_a_digest_file_is_no_error() -> None:
    """Digests lie beside the logs in the same bucket."""
    assert [] == read({"awsAccountId": ACCOUNT, "digestStartTime": TIME})


def test_types_without_effect_are_counted() -> None:
    """So that a missing mapping shows."""
    source = CloudTrail()
    made = [event("ListUsers"), event("ListUsers"), sts()]
    list(source.records(b"\n".join(map(orjson.dumps, made))))
    assert {"iam.amazonaws.com:ListUsers": 2} == source.unknown


def test_one_id_with_differing_content_gives_every_event() -> None:
    """Ids repeat: identity is the content."""
    made = [
        event("DeleteAccessKey", requestParameters={"accessKeyId": name})
        for name in ("A", "B")
    ]
    found = [record for record in read(*made) if isinstance(record, Lifecycle)]
    assert ["A", "B"] == [record.identifiers[0].value for record in found]


def test_a_value_too_long_for_an_identifier_is_left_out() -> None:
    """A key of a kilobyte is no key."""
    long = "A" * 257
    made = event("DeleteAccessKey", requestParameters={"accessKeyId": long})
    assert ["Lifecycle", "no_target", "Access"] == codes(read(made))


def test_the_same_caller_is_read_from_each_event_itself() -> None:
    """A key that appears under two identities keeps both, in either order."""
    other = DANA | {"arn": DANA["arn"].replace("dana", "eve")}
    made = [event("X"), event("X", userIdentity=other), event("X")]
    found = [use(one) for one in made]
    assert found == [
        record._replace(offset=0)
        for record in read(*made)
        if isinstance(record, Access)
    ]


def test_times_are_nanoseconds() -> None:
    """One event, one second after another."""
    first = use(event("X")).occurred_at
    second = use(event("X", eventTime="2026-03-02T09:00:01Z")).occurred_at
    assert parse_time(TIME) == first
    assert first is not None
    assert first + SECOND == second


def test_an_absurd_expiry_leaves_the_session_its_lineage() -> None:
    """Only the expiry is unknown: the edges can deny and must stay."""
    credentials = {"accessKeyId": SESSION, "expiration": "Jan 1, 2451, 1:00:00 AM"}
    found = change(sts(responseElements={"credentials": credentials}))
    assert found.expires_at is None
    assert ["aws.access_key", "aws.role"] == [p.kind for p in found.parents]


def test_an_absurd_creation_date_is_an_unknown_issue_time() -> None:
    """Unknown is dead under any watermark."""
    context = {"attributes": {"creationDate": "2451-01-01T00:00:00Z"}}
    identity = DEPLOY | {"sessionContext": context}
    found = use(event("X", userIdentity=identity))
    assert found.issued_at is None
    assert [("aws.role", ROLE, "requires")] == parents(found)


def test_a_session_asked_for_without_a_key_requires_its_person() -> None:
    """The root user, or a caller whose key the trail leaves out."""
    identity = {key: DANA[key] for key in DANA if key != "accessKeyId"}
    found = change(sts("GetSessionToken", userIdentity=identity, requestParameters={}))
    assert [("aws.user", USER, "requires")] == parents(found)


def test_a_status_that_we_do_not_know_changes_nothing() -> None:
    """Neither suspends nor restores."""
    request = {"accessKeyId": "A", "status": "Expired"}
    made = event("UpdateAccessKey", requestParameters=request)
    assert [Access] == [type(record) for record in read(made)]


def test_a_policy_may_be_written_in_its_short_forms() -> None:
    """One statement without a list, the time in a list, a broken time."""
    test = {"aws:TokenIssueTime": ["2026-03-02T08:00:00Z"], "aws:x": "y"}
    statement: dict[str, Any] = {
        "Effect": "Deny", "Action": "*", "Condition": {"DateLessThan": test},
    }  # fmt: skip
    found = change(put({"Statement": statement}, "mine"))
    assert "2026-03-02T08:00:00Z" == rfc3339(found.not_before)

    test["aws:TokenIssueTime"] = ["2451-01-01T00:00:00Z"]
    assert change(put({"Statement": statement})).not_before is None


def test_a_role_may_be_known_from_the_answer_alone() -> None:
    """Some trails hide the request."""
    answer = sts()["responseElements"] | {"assumedRoleUser": {"arn": DEPLOY["arn"]}}
    found = change(sts(requestParameters=None, responseElements=answer))
    assert ("aws.role", ROLE, "requires") in parents(found)


@pytest.mark.parametrize(
    "arn", ["", "arn", "arn:aws:s3:::bucket", "arn:aws:iam::1:user", "a:b:iam::1:x/y"]
)
def test_an_arn_that_names_nobody_gives_no_parent(arn: str) -> None:
    """The use is still told."""
    assert () == use(event("X", userIdentity=DANA | {"arn": arn})).parents


def test_values_beyond_ascii_count_in_bytes() -> None:
    """An identifier has at most 256 bytes."""
    for length, kinds in ((70, ["Lifecycle", "Access"]), (250, None)):
        request = {"userName": "\u00e9" * length}
        found = codes(read(event("DeleteUser", requestParameters=request)))
        assert (kinds or ["Lifecycle", "no_target", "Access"]) == found


@pytest.mark.parametrize("value", [["a"], {"a": 1}])
def test_a_key_that_is_no_text_is_no_credential(value: Any) -> None:
    """The payload decides no types."""
    made = event(
        "DeleteAccessKey",
        userIdentity=DANA | {"accessKeyId": value},
        requestParameters={"accessKeyId": "A"},
        recipientAccountId=value,
    )
    assert ["Lifecycle"] == codes(read(made))
    other = use(made | {"eventName": "GetUser"})
    assert (Identifier("aws.user", USER),) == other.identifiers
