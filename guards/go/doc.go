// Package guard is Rescind's guard for Go: it answers from its own memory whether a
// credential may still be used.
//
// One lease (1 s) after a revocation was accepted, a guard does not allow the credential
// or anything that descends from it. A guard that cannot prove that it is up to date
// denies.
package guard
