// The wire: frames and facts, read or refused. Nothing is guessed and nothing skipped.

export type Fact = Record<string, any>;

// The fields that a fact may have: `!` an identifier, `#` a time, `?` a time or null.
const COMMON = "fact authority event_id #version stamped #received_at ingress_key settings";
const FIELDS = new Map(Object.entries({
  node: "!node ?issued_at derived root device tenant", edge: "!child !parent relation derived",
  alias: "!first !second", owner_set: "!node owners", renewal: "!node ?expires_at",
  scope_set: "!node scopes", label_set: "!node labels", holds: "!node !attribute", lift: "!target aspect",
  cause: "!target effect reach #at ?not_before aspect scopes device tenant ?until kinds where",
  withdraw: "!target fact_id kind", horizon: "",
  distrust: "suspect suspect_key #received_from #received_to",
}).map(([kind, fields]) => [kind, `${COMMON} ${fields}`.trim().split(" ")]));
const VALUES = Object.entries({ // the first one is meant when the field is missing
  effect: ["revoke", "suspend", "narrow", "not_before"], reach: ["subtree", "self"],
  relation: ["requires", "ends_with_parent", "ends_with_parent_always", "created_by"],
});

/** Read JSON with every whole number as a bigint: a double cannot hold a time in ns. */
export function parse(frame: string): any {
  const exact: any = (_: string, value: any, at: any) =>
    typeof value === "number" && /^-?\d+$/.test(at.source) ? BigInt(at.source) : value;
  return JSON.parse(frame, exact);
}
export function must<T>(value: T, holds: boolean, name: string): T {
  if (!holds) throw new Error(`${name}: ${String(value)}`);
  return value;
}
export const text = (v: any): string => must(v, typeof v === "string" && v !== "", "not a text");
export const list = (v: any): any[] => must(v, Array.isArray(v), "not a list");
const time = (v: any): bigint => must(v, typeof v === "bigint", "not a whole number");
export const natural = (v: any): bigint => must(v, time(v) >= 0n, "negative");
export function identifier(v: any): string {
  const [, value = ""] = /^[^:]+:(.+)$/s.exec(text(v)) ?? [];
  return must(v, value !== "" && Buffer.byteLength(value) <= 256, "not an identifier");
}
const label = (v: any): string => must(identifier(v), /^label\.[^:]/.test(v), "not a label");
export const OWNER = "owner.of:"; // what stands for all that an owner has
function limits({ target, effect, reach, until, kinds = [], where = [] }: any): string[] {
  for (const kind of list(kinds)) must(kind, !text(kind).includes(":"), "not a kind");
  const all = target.startsWith(OWNER) ? [...list(where), target] : list(where);
  for (const name of [target, ...all.map(identifier)])
    must(name, !name.startsWith("authority.of:"), "not a condition");
  for (const name of all)
    if (name.startsWith(OWNER)) identifier(name.slice(OWNER.length));
    else must(name, !name.startsWith("attribute."), "not a condition");
  const free = !kinds.length && !all.length;
  must(effect, (until == null && free) || ["suspend", "narrow"].includes(effect), "has no limits");
  must(reach, free || reach === "subtree", "has no limits");
  return must([...new Set(all)], new Set(all).size <= 17, "too many conditions");
}
export function read(fact: any): Fact {
  const fields = FIELDS.get(text(fact?.fact)) ?? [];
  for (const name of Object.keys(fact)) // what is new may mean anything: do not guess
    must(name, fields.some((f) => f.replace(/^\W/, "") === name), "an unknown field");
  for (const field of fields) {
    const value = fact[field.slice(1)];
    if (field[0] === "!") identifier(value);
    if (field[0] === "#" || (field[0] === "?" && value != null)) time(value);
  }
  for (const [name, values] of VALUES)
    if (fields.includes(name)) must(fact[name], values.includes(fact[name] ??= values[0]), name);
  if (fact.fact === "owner_set") list(fact.owners).forEach(identifier);
  if (fact.fact === "label_set") list(fact.labels).forEach(label);
  if (fact.fact === "cause") fact.where = limits(fact);
  return { ...fact, authority: text(fact.authority) };
}
