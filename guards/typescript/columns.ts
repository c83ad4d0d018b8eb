// A table of the server as facts that make the same one (docs/table-format.md). A million
// facts need not be sent and read for it.
import { list, must, natural, parse, read as factOf, text, type Fact } from "./wire.ts";

export const VERSIONS = [1n, 2n]; // 2 has labels, and causes with limits
const NEVER = 2n ** 63n - 1n; // an unknown time; of an expiry: none
const MERGED = NEVER + 1n; // when facts of a table were received: no distrust covers them
const KNOWN = 1, LABELLED = 128, SEVERAL = 65535;
const RELATIONS = ["requires", "ends_with_parent", "ends_with_parent_always"];
const COLUMNS: Record<string, string> = {
  "lineage.names": "names", "lineage.flags": "u8", "lineage.relation": "u8",
  "lineage.ring": "i32", "lineage.parent": "i32", "lineage.issued": "i64",
  "lineage.expires": "i64", "lineage.first_child": "i32", "lineage.next_child": "i32",
  "expiry.authority": "u16", "expiry.version": "i64",
};
const ROWS = ("lineage.kinds lineage.more_parents lineage.reissued lineage.created lineage.creators "
  + "lineage.more_children expiry.authorities expiry.shared causes lifts owners scopes owned emptied "
  + "holders attributes devices tenants withdrawn distrusts horizon copies claims").split(" ");
const LABELS = "labels"; // only where there are some

/** What arrives of a table, and then the facts of it. */
export class ComingTable {
  private sections: [string, string, number][];
  private parts: Uint8Array[] = []; private missing: number;

  constructor({ version, sections }: any) {
    must(version, VERSIONS.includes(version), "not a table that we read");
    this.sections = list(sections).map(([name, type, size]) => {
      const wanted = COLUMNS[text(name)] ?? ([...ROWS, LABELS].includes(name) ? "rows" : "none");
      return [name, must(type, type === wanted, name), Number(natural(size))];
    });
    const names = new Set(this.sections.map(([name]) => name));
    names.delete(LABELS);
    must(names.size, names.size === ROWS.length + Object.keys(COLUMNS).length, "a section is missing");
    this.missing = this.sections.reduce((sum, [, , size]) => sum + size, 0);
  }
  /** Take a binary frame; tell whether the table is complete. */
  take(part: Uint8Array): boolean {
    this.parts.push(part);
    this.missing -= part.length;
    return must(this.missing, this.missing >= 0, "more bytes than the table has") === 0;
  }

  *facts(): Generator<Fact> {
    const read = this.read(), name = names(read);
    // Times are what they were merged to: nothing in a table is ahead of its receipt.
    const fact = (kind: string, version: bigint, more: Fact): Fact =>
      ({ fact: kind, authority: "table", version, received_at: MERGED, ...more });
    const register = (kind: string, n: any, authority: any, version: any, more: Fact) =>
      fact(kind, version, { authority, node: name(n), ...more });
    const expires = (n: any, authority: any, version: any, at: any) =>
      register("renewal", n, authority, version, { expires_at: at === NEVER ? null : at });
    const edge = (child: any, parent: any, relation: any) => fact("edge", 0n,
      { child: name(child), parent: name(parent), relation: RELATIONS[Number(relation)] });
    const [flags, ring, parent, relation, issued, expiry, authority, version] =
      ["lineage.flags", "lineage.ring", "lineage.parent", "lineage.relation", "lineage.issued",
        "lineage.expires", "expiry.authority", "expiry.version"].map((each) => read[each]);
    const all = flags.length, met = new Set<number>(ring); // a ring that does not come back has no end
    must(met.size, met.size === all && ring.every((n: number) => n >= 0 && n < all), "rings");
    let tagged = 0;
    for (let n = 0; n < flags.length; n++) {
      if (flags[n] & LABELLED) tagged++;
      must(parent[n], parent[n] >= -1 && parent[n] < all && relation[n] < RELATIONS.length, "a parent");
      const issued_at = issued[n] === NEVER ? null : issued[n], derived = !(flags[n] & KNOWN);
      if (!derived || issued_at !== null) yield fact("node", 0n, { node: name(n), issued_at, derived });
      if (ring[n] !== n) yield fact("alias", 0n, { first: name(n), second: name(ring[n]) });
      if (parent[n] >= 0) yield edge(n, parent[n], relation[n]);
      if (authority[n] > 0 && authority[n] !== SEVERAL)
        yield expires(n, read["expiry.authorities"][authority[n] - 1], version[n], expiry[n]);
    }
    for (const [n, parents] of read["lineage.more_parents"])
      for (const [more, strength] of parents) yield edge(n, more, strength);
    for (const [n, who, at, times] of read["expiry.shared"])
      for (const time of times) yield expires(n, who, at, time);
    for (const [n, who, at, sets] of read.owners)
      for (const owners of sets) yield register("owner_set", n, who, at, { owners: owners.map(name) });
    for (const [n, who, at, sets] of read.scopes)
      for (const scopes of sets) yield register("scope_set", n, who, at, { scopes });
    const labelled = new Set<number>();
    for (const [n, who, at, sets] of read[LABELS] ?? [])
      for (const labels of sets) {
        if (labels.length) labelled.add(Number(n));
        yield register("label_set", n, who, at, { labels: labels.map(name) });
      }
    const told = [...labelled].every((n) => flags[n] & LABELLED);
    must(tagged, told && tagged === labelled.size, "labels");
    for (const [n, held] of read.attributes)
      for (const [attribute, at] of held) yield fact("holds", at, { node: name(n), attribute: name(attribute) });
    for (const row of read.causes) {
      const [, n, who, at, mark, version, doubt, aspect, scopes, , , effect, reach, limits = {}] = row;
      const { until = null, kinds = [], where = [], of_owner: _, ...more } = limits;
      must(row.length, row.length <= 14 && Object.keys(more).length === 0, "a cause with more fields");
      yield fact("cause", version, { authority: who, target: name(n), effect, reach, at, aspect, scopes,
        until, kinds, where, not_before: effect === "not_before" ? mark : null, stamped: doubt > 0n });
    }
    for (const [who, n, aspect, lifts] of read.lifts)
      for (const [, [version, doubt, claimed]] of lifts)
        yield fact("lift", version,
          { authority: who, target: name(n), aspect, stamped: doubt > 0n || claimed !== version });
    for (const [fact_id, kind, of, value] of read.withdrawn)
      yield fact("withdraw", 0n, { fact_id, kind, target: `${of}:${value}` });
    for (const distrust of read.distrusts) yield factOf(distrust); // covers what comes later
    if (read.horizon !== null) yield fact("horizon", read.horizon, {});
  }

  private read(): Record<string, any> {
    const whole = Buffer.concat(this.parts), found: Record<string, any> = {};
    let start = 0;
    for (const [name, type, size] of this.sections) {
      const bytes = whole.subarray(start, start += size);
      const copy = () => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + size); // aligned
      if (type === "rows") {
        const rows = parse(bytes.toString());
        found[name] = found[name] === undefined ? rows : [...found[name], ...rows];
      } else
        found[name] = type === "i64" ? new BigInt64Array(copy()) : type === "i32" ? new Int32Array(copy())
          : type === "u16" ? new Uint16Array(copy()) : bytes;
    }
    return found;
  }
}

/** Give the identifier of a number: its value, the number of its kind, and 0xFF. */
function names(read: Record<string, any>): (n: any) => string {
  const bytes: Buffer = read["lineage.names"], found: string[] = [];
  for (let start = 0, end; start < bytes.length; start = end + 1) {
    end = bytes.indexOf(0xff, start);
    const chars = bytes.toString("utf8", start, end), kind = chars.charCodeAt(chars.length - 1);
    found.push(`${text(read["lineage.kinds"][kind])}:${chars.slice(0, -1)}`);
  }
  must(found.length, found.length === read["lineage.flags"].length, "names are missing");
  return (n) => text(found[Number(n)]);
}
