// Apply the migrations that LiteLLM ships, in their order: node migrate.cjs FOLDER
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Client } = require("pg");

const STARTS = "57P03"; // PostgreSQL listens before it lets anybody in

async function connected() {
  for (;;) {
    const client = new Client({ connectionString: process.env.DATABASE_URL });
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (error.code !== STARTS) throw error;
    }
  }
}

async function main(folder) {
  const client = await connected();
  const files = fs
    .readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name, "migration.sql"))
    .filter((file) => fs.existsSync(file));
  for (const file of files) await client.query(fs.readFileSync(file, "utf8"));
  await client.end();
  console.log(files.length);
}

main(process.argv[2]);
