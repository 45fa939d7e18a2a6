// The unmodified @upstash/redis against the stand-in: node redis.mjs URL TOKEN. Ends with 0 if all holds.
import assert from "node:assert/strict";
import { Redis } from "@upstash/redis";

const [url, token] = process.argv.slice(2);

function client(options = {}) {
  return new Redis({ url, token, retry: false, enableTelemetry: false, ...options });
}

async function commands(redis) {
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.set("k", { deep: ["☃", 1, true] }), "OK");
  assert.deepEqual(await redis.get("k"), { deep: ["☃", 1, true] });
  assert.equal(await redis.set("k", "other", { nx: true, px: 1000 }), null);
  assert.equal(await redis.xadd("s", "1-1", { a: "b" }), "1-1");
  await assert.rejects(redis.xadd("s", "1-1", { a: "c" }), /equal or smaller/);
  assert.deepEqual(await redis.xrange("s", "-", "+"), { "1-1": { a: "b" } });
  assert.equal(await redis.zadd("z", { score: 1.5, member: "m" }), 1);
  assert.equal(await redis.zscore("z", "m"), 1.5);
  assert.deepEqual(await redis.mget("k", "none"), [{ deep: ["☃", 1, true] }, null]);
  assert.equal(await redis.eval("return ARGV[1]", [], ["hi"]), "hi");
}

async function transaction(redis) {
  const outcome = await redis.multi().incr("n").incr("n").xrange("s", "-", "+").exec();
  assert.deepEqual(outcome, [1, 2, { "1-1": { a: "b" } }]);
  await assert.rejects(redis.multi().incr("n").zadd("z", { score: 1, member: "x".repeat(33_000) }).exec(), /32768/);
  assert.equal(await redis.get("n"), 2);
}

// Commands issued in one tick travel as one pipeline of writes and one of reads.
async function autoPipelining(redis) {
  const before = await stats();
  const outcome = await Promise.all([redis.incr("p"), redis.incr("p"), redis.get("none")]);
  assert.deepEqual(outcome, [1, 2, null]);
  const after = await stats();
  assert.equal(after.requests - before.requests, 2);
  assert.equal(after.total - before.total, 3);
}

async function stats() {
  return await (await fetch(`${url}/__standin/stats`)).json();
}

async function pubSub(redis) {
  const channel = redis.subscribe("chat");
  const pattern = redis.psubscribe("ch*");
  const messages = new Promise((resolve, reject) => {
    channel.on("message", resolve);
    channel.on("error", reject);
  });
  const matches = new Promise((resolve, reject) => {
    pattern.on("pmessage", resolve);
    pattern.on("error", reject);
  });
  await Promise.all([
    new Promise((resolve) => channel.on("subscribe", resolve)),
    new Promise((resolve) => pattern.on("psubscribe", resolve)),
  ]);
  assert.equal(await redis.publish("chat", { text: "a, b" }), 2);
  assert.deepEqual(await messages, { channel: "chat", message: { text: "a, b" } });
  assert.deepEqual(await matches, { pattern: "ch*", channel: "chat", message: { text: "a, b" } });
  await Promise.all([channel.unsubscribe(), pattern.unsubscribe()]);
}

await commands(client());
await client().flushdb();
await commands(client({ responseEncoding: false }));
await transaction(client());
await autoPipelining(client({ enableAutoPipelining: true }));
await pubSub(client());
await assert.rejects(client({ token: "wrong" }).ping(), /WRONGPASS/);
console.log("all holds");
