// A server of the kind that is named, with a guard that a Rescind server feeds. It prints
// its address.
import { guardOf } from "../index.ts";
import { SERVERS } from "./servers.ts";

const { RESCIND_URL, RESCIND_TOKEN } = process.env;
const { url } = await SERVERS[process.argv[2]](guardOf(RESCIND_URL!, RESCIND_TOKEN!));
console.log(url);
