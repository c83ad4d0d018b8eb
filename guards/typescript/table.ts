// The table: which credentials are dead. Never less strict than it must be, and stricter
// where a rule would be long here (docs/writing-a-guard.md has the rules).
import { must, OWNER, type Fact } from "./wire.ts";

const UNCERTAIN = 5_000_000_000n, FUTURE = 300_000_000_000n;
const AHEAD = 2_000_000_000n; // a clock may be so much, and what has ended allows
const LIMIT = 4096; // nodes that one check visits
const P = ""; // what is presented together: one credential, which no fact names
const REGISTERS = ["owner_set", "renewal", "scope_set", "label_set"];
const ENDED: Fact = { revoke: "revoked", suspend: "suspended", narrow: "narrowed" };

export const least = (a: bigint, b: bigint) => (a < b ? a : b);
const believed = (f: Fact) => (["cause", "horizon"].includes(f.fact) ? FUTURE : 0n);
const vague = (f: Fact) => f.stamped || f.version > f.received_at + believed(f); // its copies may differ

const subjects = (f: Fact): Set<string> => {
  const subject = f.first ?? f.child ?? f.node ?? f.target ?? P;
  return new Set<string>([subject, f.second ?? subject]);
};
/** The names whose lives facts may change: every life depends on what is presented, P. */
export const touched = (facts: Fact[]): Set<string> =>
  new Set(facts.flatMap((f) => [...subjects(f)]));

/** What the facts say, whatever the order and the number of times in which they came. */
export class Table {
  private facts = new Map<string, Fact[]>(); // by kind and subject
  private distrusts: Fact[] = [];
  private doubtful = new Set<string>();
  private classes: Map<string, string>;
  private merged = false;

  constructor(vocabulary: Record<string, string>) {
    this.classes = new Map(Object.entries(vocabulary));
  }
  /** Apply facts that were merged before: nobody knows any more who said them. */
  adopt(facts: Iterable<Fact>): void {
    this.apply(facts);
    this.merged = true;
  }

  apply(facts: Iterable<Fact>): void {
    for (const fact of facts) {
      // What it takes back, or what a copy replaced before its time fell, is not told any more.
      const lost = fact.fact === "distrust" || (REGISTERS.includes(fact.fact) && vague(fact)
        && this.of(fact.fact, fact.node).some((f) =>
          f.authority === fact.authority && least(fact.version, fact.received_at) <= f.version));
      must(fact.fact, !this.merged || !lost, "another table is needed");
      if (fact.fact === "distrust") this.distrusts.push(fact);
      // Stricter: to find the one fact that is taken back takes its hash; doubt the subject.
      if (fact.fact === "withdraw" && !["cause", "edge", "alias"].includes(fact.kind))
        this.doubtful.add(fact.target);
      for (const name of subjects(fact)) {
        const key = `${fact.fact} ${name}`;
        this.facts.set(key, [...(this.facts.get(key) ?? []), fact]);
      }
    }
  }

  /** Give why the presentation is denied, null when nothing speaks against it. */
  judge(
    names: string[], chain: string[], verified: bigint | null, now: bigint, scope: string | null,
    seen?: Set<string>,
  ): string | null {
    let visits = 0;
    const reach = (start: string, step: (name: string) => string[]): Set<string> => {
      const found = new Set([start]); // grows while it is walked
      for (const name of found)
        if (seen?.add(name), ++visits <= LIMIT) for (const next of step(name)) found.add(next);
      return found;
    };
    const parents = (n: string) =>
      n === P ? [...names, ...chain] : this.edges(n).map((f) => f.parent);
    const up = (n: string) => [
      ...parents(n), ...this.newest("label_set", n).flatMap((f) => f.labels), ...this.aliases(n), ...this.of("holds", n).map((f) => f.attribute)];
    const ends = (n: string) => [
      ...this.aliases(n), ...this.edges(n).filter((f) => f.relation !== "requires").map((f) => f.parent)];
    const shown = names.filter(this.isCredential);
    const isOf = (m: string, kinds: string[]) =>
      (m === P ? shown : [m]).some((n) => kinds.includes(n.split(":")[0]));
    const all = (names: string[]) => [...new Set(names.flatMap((n) => [...reach(n, this.aliases)]))];
    const owners = (names: string[]) =>
      all(names.flatMap((n) => this.newest("owner_set", n)).flatMap((f) => f.owners));
    const meets = (m: string, name: string) => name.startsWith(OWNER)
      ? owners(all(m === P ? shown : [m])).includes(name.slice(OWNER.length)) : reach(m, up).has(name);
    const dated = new Set([P, ...shown.flatMap((n) => [...reach(n, this.aliases)])]);
    const outdated = (n: string, mark: bigint): boolean => {
      const own = [...(n === P ? shown.flatMap(this.times) : this.times(n)),
        ...(dated.has(n) && verified !== null ? [verified] : [])];
      const all = [...own, ...[...reach(n, this.aliases)].flatMap(this.times)];
      return !own.length || all.some((t) => t <= mark);
    };
    const flaw = (of: string, proving: string[]): string | null => {
      const required = [...reach(of, up)];
      const credentials = required.filter(this.isCredential);
      const acts = ({ target, kinds = [], where = [] }: Fact, node: string) =>
        !(kinds.length + where.length) || required.some((m) => (!kinds.length || isOf(m, kinds))
          && (target.startsWith(OWNER) || reach(m, up).has(node)) && where.every((c: string) => meets(m, c)));
      for (const owner of owners(required)) {
        seen?.add(OWNER + owner);
        const found = this.causes(OWNER + owner, now).find((f) => acts(f, owner));
        if (found) return ENDED[found.effect];
      }
      for (const node of required) {
        if (this.doubtful.has(node)) return "in_doubt";
        for (const { effect, mark } of this.causes(node, now).filter((f) => acts(f, node))) // stricter: reach self as subtree
          if (effect !== "not_before") return ENDED[effect];
          else if (credentials.some((c) => outdated(c, mark) && reach(c, up).has(node))) return effect;
        if (scope !== null && this.of("scope_set", node).length) return "scope"; // stricter
        const sets = this.newest("owner_set", node);
        const lives = (owner: string) => flaw(owner, [...proving, node]) === null;
        if (sets.length && (proving.includes(node) || !sets.every((f) => f.owners.some(lives))))
          return "no_living_owner";
      }
      const over = (f: Fact) => f.expires_at != null && f.expires_at <= now;
      if ([...reach(of, ends)].some((n) => this.newest("renewal", n).some(over))) return "expired";
      const orphaned = (n: string) => parents(n).some((parent) => !this.known(parent));
      if (this.of("horizon", "").length && credentials.some(orphaned)) return "beyond_horizon";
      return visits > LIMIT ? "lineage_too_large" : null;
    };
    const unknown = !names.some((n) => this.known(n) && !n.startsWith("label.")) || names.some((n) => this.isCredential(n) && !this.known(n));
    for (const judged of [P, ...names]) {
      const reason = flaw(judged, []);
      if (reason !== null) return reason;
    }
    return unknown ? "unknown_credential" : null;
  }

  /** The first expiry after `now` that facts on these names state. */
  nextExpiry(names: Iterable<string>, now: bigint): bigint | null {
    const all = [...names].flatMap((n) => this.of("renewal", n)).map((f) => f.expires_at);
    return all.filter((t) => t != null && t > now).reduce((a, b) => (a === null ? b : least(a, b)), null);
  }

  private of(kind: string, name: string): Fact[] {
    return (this.facts.get(`${kind} ${name}`) ?? []).filter((f) => !this.distrusts.some((d) =>
      d.suspect === f.authority && d.suspect_key === (f.ingress_key ?? "")
      && d.received_from <= f.received_at && f.received_at <= d.received_to));
  }
  private known = (n: string) => this.of("node", n).some((f) => !f.derived);
  private isCredential = (n: string) =>
    (this.classes.get(n.split(":")[0]) ?? (/^(label\.|owner\.of:)/.test(n) ? "container" : "credential")) === "credential";
  private edges = (n: string) => this.of("edge", n).filter((f) => f.relation !== "created_by");
  private aliases = (n: string) =>
    this.of("alias", n).map((f) => (f.first === n ? f.second : f.first));
  private times = (n: string) =>
    this.of("node", n).filter((f) => f.issued_at != null).map((f) => least(f.issued_at, f.received_at));
  private causes(n: string, now: bigint): Fact[] {
    const ends = (l: Fact, f: Fact) => // stricter: a lift that we stamped ends nothing
      !l.stamped && l.version <= l.received_at + FUTURE
      && l.authority === f.authority && (l.aspect ?? "") === (f.aspect ?? "")
      && least(l.version, l.received_at) > f.version + (f.stamped || vague(l) ? UNCERTAIN : 0n);
    // The newest lift counts, of its copies the one received first: all from one on must end it.
    const lifted = (f: Fact) => this.of("lift", n).some((l) => ends(l, f) && this.of("lift", n)
      .every((m) => m.authority !== l.authority || (m.aspect ?? "") !== (l.aspect ?? "")
        || m.version < l.version || ends(m, f)));
    return this.of("cause", n)
      .filter((f) => !["suspend", "narrow"].includes(f.effect) || !lifted(f))
      .filter((f) => f.until == null || now < f.until + AHEAD)
      .map((f) => ({ ...f, mark: least(f.not_before ?? f.at, f.received_at) }));
  }
  // Of each authority the newest statement counts. Stricter: all do when one of them is vague.
  private newest(kind: string, n: string): Fact[] {
    const all = this.of(kind, n).filter((f) => f.owners?.length !== 0);
    return all.filter((f) => {
      const rivals = all.filter((g) => g.authority === f.authority);
      return rivals.some(vague) || rivals.every((g) => g.version <= f.version);
    });
  }
}
