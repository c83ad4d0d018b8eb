// Try it: RESCIND_URL and RESCIND_TOKEN name the server; one identifier a line comes in,
// one verdict a line goes out.
import { createInterface } from "node:readline";
import { guardOf } from "./feed.ts";

const { RESCIND_URL, RESCIND_TOKEN, RESCIND_GUARD: name } = process.env;
if (!RESCIND_URL || !RESCIND_TOKEN)
  throw new Error("set RESCIND_URL and RESCIND_TOKEN (a token with the role guard)");
const guard = guardOf(RESCIND_URL, RESCIND_TOKEN, { name });
for await (const name of createInterface({ input: process.stdin }))
  console.log(JSON.stringify(guard.check({ identifiers: [name] })));
guard.close();
