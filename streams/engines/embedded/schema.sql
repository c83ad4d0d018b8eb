CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- The last facts, and those that are never packed; the others are in blocks.
CREATE TABLE IF NOT EXISTS recent_facts (
  offset INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB NOT NULL,
  received_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS fact_blocks (
  start INTEGER PRIMARY KEY, ids BLOB NOT NULL, tails BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fact_prints (
  print INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS access (
  offset INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, block BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS signals (offset INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dlq (
  offset INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL,
  authority TEXT NOT NULL, reason TEXT NOT NULL, position INTEGER NOT NULL,
  length INTEGER NOT NULL, digest TEXT NOT NULL, event_id TEXT,
  fold TEXT, count INTEGER NOT NULL DEFAULT 1, last_at INTEGER, last_position INTEGER);
CREATE TABLE IF NOT EXISTS invalidations (
  offset INTEGER PRIMARY KEY, identifier TEXT NOT NULL, cause TEXT NOT NULL,
  as_of INTEGER NOT NULL, UNIQUE (cause, identifier));
CREATE TABLE IF NOT EXISTS uses (
  key TEXT PRIMARY KEY, seen_at INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (
  id TEXT PRIMARY KEY, changed INTEGER NOT NULL, open INTEGER NOT NULL,
  body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS findings_changed ON findings (changed);
CREATE TABLE IF NOT EXISTS used_scopes (
  name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
  key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
  stage TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  offset INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL,
  action TEXT NOT NULL, detail BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS audit_chain (
  sequence INTEGER PRIMARY KEY, genesis TEXT NOT NULL, fact INTEGER, act INTEGER,
  hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_chain_acts ON audit_chain (act) WHERE act NOT NULL;
CREATE TABLE IF NOT EXISTS audit_pruned (
  sequence INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS audit_heads (
  sequence INTEGER PRIMARY KEY, head TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS guards (
  name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS guard_names (
  name TEXT PRIMARY KEY, credential TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS witnesses (
  name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS closures (
  offset INTEGER PRIMARY KEY, id TEXT NOT NULL, state TEXT NOT NULL,
  body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS closures_id ON closures (id);
CREATE INDEX IF NOT EXISTS closures_open ON closures (offset)
  WHERE state IN ('pending', 'partial');
CREATE TABLE IF NOT EXISTS kept (
  kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finding_hours (
  id TEXT PRIMARY KEY, hour INTEGER NOT NULL, authority TEXT NOT NULL,
  kind TEXT NOT NULL, seconds REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS finding_hours_counted
  ON finding_hours (hour, authority, kind, seconds);
CREATE TABLE IF NOT EXISTS cause_hours (
  offset INTEGER PRIMARY KEY, hour INTEGER NOT NULL, accepted INTEGER NOT NULL,
  authority TEXT NOT NULL, effect TEXT NOT NULL, state TEXT NOT NULL,
  seconds REAL NOT NULL);
CREATE INDEX IF NOT EXISTS cause_hours_counted
  ON cause_hours (hour, authority, effect);
CREATE INDEX IF NOT EXISTS cause_hours_settled
  ON cause_hours (accepted, authority, effect, state, seconds);
