package guard

import (
	"time"

	"rescind.dev/guard/internal/table"
)

// Mode is what a guard does with what it cannot prove.
type Mode string

// The modes.
const (
	// FailClosed denies without a lease.
	FailClosed Mode = "fail_closed"
	// FailOpen answers from the table as it was; known denials still deny.
	FailOpen Mode = "fail_open"
	// Observe lets through what would be denied, and counts it.
	Observe Mode = "observe"
)

// UnknownPolicy is what to do with a credential that no fact makes known.
type UnknownPolicy string

// The policies.
const (
	Deny                  UnknownPolicy = "deny"
	AllowIfPrincipalKnown UnknownPolicy = "allow_if_principal_known"
	AllowAndReport        UnknownPolicy = "allow_and_report"
)

// Reason is why a verdict is what it is.
type Reason string

// The reasons: of a rule, and from NotCaughtUp on of a guard that cannot vouch for its
// table.
const (
	Lives             Reason = table.Lives
	LineageTooLarge   Reason = table.LineageTooLarge
	Revoked           Reason = table.Revoked
	Suspended         Reason = table.Suspended
	NotBefore         Reason = table.TooOld
	NoLivingOwner     Reason = table.NoLivingOwner
	BeyondHorizon     Reason = table.BeyondHorizon
	Expired           Reason = table.Expired
	UnknownCredential Reason = table.UnknownCredential
	Narrowed          Reason = table.Narrowed
	OutOfScope        Reason = table.OutOfScope
	NotCaughtUp       Reason = "not_caught_up"
	NoLease           Reason = "no_lease"
	NotYetApplied     Reason = "not_yet_applied"
	Unreadable        Reason = "unreadable"
)

// Presented is what a caller presents together, after its signature was verified. Every
// name of it must live.
type Presented struct {
	// Identifiers are the names of the credential, and whom it speaks for (kind:value).
	Identifiers []string
	// IssuedAt is the verified iat or auth_time, the earlier one; zero where it has none.
	IssuedAt time.Time
	// Chain is the delegation chain (act claims).
	Chain []string
}

// Present is a presentation of identifiers alone.
func Present(identifiers ...string) Presented { return Presented{Identifiers: identifiers} }

// Options of one check. The zero value asks for nothing more.
type Options struct {
	// Scope is the requested namespace|value. Without it a narrowed credential is denied.
	Scope string
	// AtLeast denies unless what this consistency token names is applied.
	AtLeast string
	// Route names a route that has a mode of its own.
	Route string
}

// Cause is what ended a credential or something above it.
type Cause struct {
	FactID    string
	Target    string
	Effect    string
	Authority string
	At        time.Time
}

// Verdict is the answer to one check.
type Verdict struct {
	Allowed bool
	Reason  Reason
	Mode    Mode
	// Stale: answered without a lease, so newer denials may be missing.
	Stale bool
	// Observed: it would have been denied, had the mode been FailClosed.
	Observed bool
	// Path leads from what was presented to where the reason stands.
	Path []string
	// Cause is nil for expiry, scope and doubts.
	Cause *Cause
	// Report tells what the policy wants reported though it allows.
	Report []string
}

func plainCause(judged *table.Judgement) *Cause {
	if judged.Cause == nil {
		return nil
	}
	return &Cause{
		FactID: judged.Cause.FactID(), Target: judged.Target.String(), Effect: judged.Cause.Effect,
		Authority: judged.Cause.Authority, At: time.Unix(0, judged.Cause.At),
	}
}

func plainPath(judged *table.Judgement) []string {
	if len(judged.Path) == 0 {
		return nil
	}
	path := make([]string, len(judged.Path))
	for i, one := range judged.Path {
		path[i] = one.String()
	}
	return path
}
