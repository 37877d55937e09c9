// node-pg through a pooler: the connection's parameters are in PG… of the environment.
"use strict";
const assert = require("assert");
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const ssl = { rejectUnauthorized: false };

async function connect(more = {}) {
  const client = new Client({ ssl, ...more });
  await client.connect();
  return client;
}

async function logIn() {
  const client = await connect();
  assert.strictEqual((await client.query("select current_user as u")).rows[0].u, process.env.PGUSER);
  assert(client.connection.stream.encrypted);
  await client.end();
  await assert.rejects(connect({ password: "wrong" }), { code: "28P01" });
}

async function pooling() {
  const pool = new Pool({ ssl, max: 20 });
  const results = await Promise.all([...Array(200).keys()].map((i) => pool.query("select $1::int * 2 as n", [i])));
  results.forEach((result, i) => assert.strictEqual(result.rows[0].n, 2 * i));
  await pool.end();
}

async function transactions() {
  const client = await connect();
  await client.query("create table if not exists smoke_node (n int)");
  await client.query("truncate smoke_node");
  await client.query("begin");
  await client.query("insert into smoke_node values (1)");
  await client.query("rollback");
  await client.query("begin; insert into smoke_node values (2); commit");
  assert.deepStrictEqual((await client.query("select n from smoke_node")).rows, [{ n: 2 }]);
  await client.end();
}

async function preparedStatements() {
  const clients = await Promise.all([connect(), connect(), connect()]);
  for (let i = 0; i < 30; i++) {
    for (const client of clients) {
      const result = await client.query({ name: "plus one", text: "select $1::int + 1 as n", values: [i] });
      assert.strictEqual(result.rows[0].n, i + 1);
    }
  }
  await Promise.all(clients.map((client) => client.end()));
}

async function portions() {
  const client = await connect();
  const cursor = client.query(new Cursor("select generate_series(1, 1000) as n"));
  let count = 0;
  for (let rows; (rows = await cursor.read(70)).length > 0; ) count += rows.length;
  assert.strictEqual(count, 1000);
  await cursor.close();
  await client.end();
}

async function cancel() {
  const client = await connect();
  const sleep = client.query("select pg_sleep(60)");
  const { processID, secretKey } = client;
  await new Promise((resolve) => setTimeout(resolve, 500));
  // The client's own cancel() has no TLS in this version.
  const request = Buffer.alloc(16);
  [16, 80877102, processID, secretKey].forEach((word, i) => request.writeInt32BE(word, 4 * i));
  const socket = require("net").connect(Number(process.env.PGPORT), process.env.PGHOST);
  socket.end(request);
  await assert.rejects(sleep, { code: "57014" });
  assert.strictEqual((await client.query("select 1 as n")).rows[0].n, 1);
  await client.end();
}

(async () => {
  for (const test of [logIn, pooling, transactions, preparedStatements, portions, cancel]) {
    await test();
    console.log(test.name);
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
