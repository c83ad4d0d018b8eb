#!/usr/bin/env node
// Prisma's query engine as the process that Prisma's Python client starts and asks.
//
// Prisma publishes the engine as a program on a server of its own, which no package
// registry has, and as WebAssembly on npm: that one runs here. The Python client speaks
// GraphQL over HTTP, the WebAssembly Prisma's JSON; this file puts the one into the other.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const VERSION = "393aa359c9ad4a4bb28630fb5613f9c281cde053"; // that of prisma 5.17.0
if (process.argv.includes("--version")) {
  console.log(`query-engine ${VERSION}`);
  process.exit(0);
}

const { PrismaPg } = require("@prisma/adapter-pg");
const { bindAdapter } = require("@prisma/driver-adapter-utils");
const { parse } = require("graphql");
const { Pool } = require("pg");
const runtime = require("@prisma/client/runtime/query_engine_bg.postgresql.js");

const ACTION = new RegExp(
  "^(findUnique|findFirst|findMany|createOne|createMany|updateOne|updateMany|deleteOne" +
    "|deleteMany|upsertOne|aggregate|groupBy|queryRaw|executeRaw)(OrThrow)?(.*)$",
);
const TRACE = "{}";
// Of JSON the database has the same defaults; the WebAssembly writes its own as texts.
const SCHEMA = fs
  .readFileSync(process.env.PRISMA_DML_PATH, "utf8")
  .replace(/( Json\b.*@default\()"([^"\n]*)"\)/g, `$1dbgenerated("'$2'"))`);
const MODELS = new Map(
  [...SCHEMA.matchAll(/^model (\w+) \{$([\s\S]*?)^\}/gm)].map(([, name, body]) => [
    name,
    new Set([...body.matchAll(/^ +(\w+) +Json\b/gm)].map((one) => one[1])),
  ]),
);
const ANYWHERE = new Set([...MODELS.values()].flatMap((names) => [...names]));
for (const name of ["data", "messages", "models"]) ANYWHERE.delete(name); // other types too

function load() {
  const folder = path.dirname(require.resolve("@prisma/client/package.json"));
  const file = path.join(folder, "runtime/query_engine_bg.postgresql.wasm");
  const compiled = new WebAssembly.Module(fs.readFileSync(file));
  const instance = new WebAssembly.Instance(compiled, { "./query_engine_bg.js": runtime });
  runtime.__wbg_set_wasm(instance.exports);
}

function valueOf(node) {
  switch (node.kind) {
    case "IntValue":
    case "FloatValue":
      return Number(node.value);
    case "NullValue":
      return null;
    case "ListValue":
      return node.values.map(valueOf);
    case "ObjectValue":
      return Object.fromEntries(node.fields.map((one) => [one.name.value, valueOf(one.value)]));
    default:
      return node.value;
  }
}

function argumentsOf(field, model) {
  const own = MODELS.get(model) ?? new Set();
  const given = field.arguments.map((one) => [one.name.value, typed(valueOf(one.value), own)]);
  return Object.fromEntries(given);
}

// JSON is a text in GraphQL; in Prisma's JSON a text would be JSON that is a text.
function typed(value, own, json = false) {
  if (typeof value === "string") return json ? { $type: "Json", value } : value;
  if (Array.isArray(value)) return value.map((one) => typed(one, own, json));
  if (value === null || typeof value !== "object") return value;
  const isText = (key) => key === "path" || key.startsWith("string_"); // of a filter
  const isJson = (key) => !isText(key) && (json || own.has(key) || ANYWHERE.has(key));
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, typed(one, own, isJson(key))]),
  );
}

function selectionOf(set) {
  const found = {};
  for (const field of set?.selections ?? []) {
    const plain = !field.selectionSet && !field.arguments.length;
    found[field.name.value] = plain
      ? true
      : { arguments: argumentsOf(field), selection: selectionOf(field.selectionSet) };
  }
  return found;
}

function translated(text) {
  const [field] = parse(text).definitions[0].selectionSet.selections;
  const [, action, strict, model] = ACTION.exec(field.name.value);
  const asked = {
    action: action + (strict ?? ""),
    query: { arguments: argumentsOf(field, model), selection: selectionOf(field.selectionSet) },
  };
  if (model) asked.modelName = model;
  return { asked, name: field.alias?.value ?? field.name.value };
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  if ("$type" in value) return value.$type === "BigInt" ? Number(value.value) : value.value;
  if (value.prisma__type === "json" && typeof value.prisma__value === "string") {
    return { ...value, prisma__value: JSON.parse(value.prisma__value) };
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

function told(found, name) {
  if (!found.data) return found;
  return { ...found, data: { [name]: plain(Object.values(found.data)[0]) } };
}

async function queried(engine, body, transaction) {
  const given = JSON.parse(body);
  const ask = async (query) =>
    JSON.parse(await engine.query(JSON.stringify(query), TRACE, transaction));
  if (!given.batch) {
    const { asked, name } = translated(given.query);
    return told(await ask(asked), name);
  }
  const parts = given.batch.map((one) => translated(one.query));
  const batch = parts.map((one) => one.asked);
  const found = await ask({ batch, transaction: given.transaction ? {} : undefined });
  if (!found.batchResult) return found;
  return { batchResult: found.batchResult.map((one, place) => told(one, parts[place].name)) };
}

async function answered(engine, request, body) {
  const place = request.url.split("?")[0];
  const ended = /^\/transaction\/([^/]+)\/(commit|rollback)$/.exec(place);
  if (place === "/status") return { status: "ok" };
  if (place === "/transaction/start") {
    const { max_wait = 2000, timeout = 5000 } = JSON.parse(body);
    const wanted = JSON.stringify({ max_wait, timeout });
    return JSON.parse(await engine.startTransaction(wanted, TRACE));
  }
  if (ended) {
    const [, id, how] = ended;
    await engine[`${how}Transaction`](id, TRACE);
    return {};
  }
  return queried(engine, body, request.headers["x-transaction-id"]);
}

function serve(engine, port) {
  const server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    try {
      const found = await answered(engine, request, Buffer.concat(parts).toString());
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(found));
    } catch (error) {
      console.error(error);
      response.statusCode = 500;
      response.end(JSON.stringify({ errors: [{ error: String(error) }] }));
    }
  });
  server.listen(port, "localhost");
}

async function main() {
  load();
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
  const engine = new runtime.QueryEngine(
    {
      datamodel: SCHEMA, logLevel: "error", logQueries: false,
      datasourceOverrides: {}, env: process.env, configDir: ".", ignoreEnvVarErrors: true, engineProtocol: "json",
    },
    (line) => console.error(line),
    bindAdapter(new PrismaPg(pool)),
  );
  await engine.connect(TRACE);
  serve(engine, Number(process.argv[process.argv.indexOf("-p") + 1]));
}

for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => process.exit(0));
main();
