/** AnswerStore and its memory: what a page without the AI SDK shows, and what survives its reload. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { AnswerStore, type AnswerOptions, type Memory, type Remembered } from "../src/answer.js";
import { pageMemory } from "../src/memory.js";
import { FakePage, FakeServer, rest, sse, status, STORED, turns, VirtualTime, written, type Asked, type Reply } from "./fakes.js";

class FakeMemory implements Memory {
  kept: Remembered | undefined;
  load(): Remembered | undefined {
    return this.kept;
  }
  save(remembered: Remembered | undefined): void {
    this.kept = remembered;
  }
}

/** A server of the contract: starts are numbered, reads are what the test says, stops are taken. */
function setUp(read: Reply = rest, options: AnswerOptions = {}, start: Reply | undefined = undefined) {
  let started = 0;
  const route: Reply = (asked: Asked) => {
    if (asked.url.endsWith("/stop")) return status(200, {})(asked);
    if (asked.method === "GET") return read(asked);
    started += 1;
    return (start ?? status(202, { id: `S${started}` }))(asked);
  };
  const server = new FakeServer(route);
  const time = new VirtualTime();
  const memory = new FakeMemory();
  const base = { api: "http://server.test/api/streams", fetch: server.fetch, time, memory };
  const store = new AnswerStore({ ...base, surroundings: new FakePage(), ...options });
  return { server, time, memory, store };
}

const endsWith = (chunk: string): Reply =>
  sse(`${written(STORED.slice(0, 4))}id: 1-5.0\ndata: ${chunk}\n\nid: 1-5\ndata: [DONE]\n\n`);

test("a question is sent once, its answer shown and its stream remembered", async () => {
  const { server, time, memory, store } = setUp();
  const seen: string[] = [];
  store.subscribe(() => seen.push(store.view.status));
  await time.until(store.send("Why?", { model: "small" }));
  assert.equal(store.view.text, "Knots – hälts 🪢");
  assert.deepEqual([store.view.status, store.view.id], ["finished", "S1"]);
  assert.deepEqual(JSON.parse(String(server.asked[0]?.body)), { model: "small", prompt: "Why?" });
  assert.deepEqual(memory.kept, { id: "S1", body: { model: "small", prompt: "Why?" } });
  assert.equal(seen[0], "starting");
  assert.equal(seen.at(-1), "finished");
});

test("a page that is loaded anew follows the remembered answer from its beginning", async () => {
  const { server, time, memory, store } = setUp();
  memory.kept = { id: "S7" };
  store.resume();
  store.resume();
  await time.until(turns());
  assert.deepEqual([store.view.status, store.view.text], ["finished", "Knots – hälts 🪢"]);
  assert.equal(server.asked.length, 1);
  assert.equal(server.asked[0]?.url, "http://server.test/api/streams/S7?state=1");
});

test("a page that goes away and comes back goes on: effects of React run twice", async () => {
  const { time, memory, store } = setUp();
  memory.kept = { id: "S7" };
  store.resume();
  store.leave();
  store.resume();
  await time.until(turns());
  assert.deepEqual([store.view.status, store.view.text], ["finished", "Knots – hälts 🪢"]);
});

test("reasoning is shown apart, and every chunk is told", async () => {
  const kinds: string[] = [];
  const reasoning = `id: 1-1\ndata: {"type":"reasoning-delta","id":"r","delta":"Hm."}\n\nid: 1-5\ndata: [DONE]\n\n`;
  const { time, store } = setUp(sse(reasoning), { onChunk: ({ type }) => kinds.push(type) });
  await time.until(store.send("Why?"));
  assert.deepEqual([store.view.reasoning, store.view.text, kinds], ["Hm.", "", ["reasoning-delta"]]);
});

test("an answer that failed, or was stopped, says so and keeps what there is", async () => {
  const failed = setUp(endsWith('{"type":"error","errorText":"No more."}'));
  await failed.time.until(failed.store.send("Why?"));
  assert.deepEqual([failed.store.view.status, failed.store.view.error?.message], ["failed", "No more."]);
  assert.equal(failed.store.view.text, "Knots – hälts 🪢");
  const stopped = setUp(endsWith('{"type":"abort"}'));
  await stopped.time.until(stopped.store.send("Why?"));
  assert.deepEqual([stopped.store.view.status, stopped.store.view.error], ["stopped", undefined]);
});

test("a refused start is told in the server's words", async () => {
  const refused = status(429, { error: { code: "limit_live", message: "Wait for the answer." } });
  const { time, store, memory } = setUp(rest, {}, refused);
  await time.until(store.send("Why?"));
  assert.deepEqual([store.view.status, store.view.error?.message], ["failed", "Wait for the answer."]);
  assert.equal(memory.kept, undefined);
});

test("an answer that is gone is forgotten, and one that is refused is not", async () => {
  for (const [code, kept] of [[404, false], [410, false], [403, true]] as const) {
    const { time, store, memory } = setUp(status(code));
    memory.kept = { id: "S7" };
    store.resume();
    await time.until(turns());
    assert.equal(store.view.status, "failed");
    assert.equal(memory.kept !== undefined, kept, String(code));
  }
});

test("stop asks the server, and the end comes as for every reader", async () => {
  const { server, store } = setUp(sse(written(STORED.slice(0, 3)), "hang"));
  void store.send("Why?");
  await turns();
  await turns();
  await store.stop();
  assert.equal(server.asked.at(-1)?.url, "http://server.test/api/streams/S1/stop");
  assert.equal(store.view.status, "live");
  store.leave();
});

test("a stop while the start is on its way reaches the answer once it has a name", async () => {
  const { server, time, store } = setUp(endsWith('{"type":"abort"}'));
  const sent = store.send("Why?");
  await store.stop();
  await time.until(sent);
  assert.deepEqual(server.asked.map(({ method, url }) => `${method} ${new URL(url).pathname}`), [
    "POST /api/streams",
    "POST /api/streams/S1/stop",
    "GET /api/streams/S1",
  ]);
  assert.equal(store.view.status, "stopped");
});

test("regenerate stops what is live, asks the same again under another key, and shows the other answer alone", async () => {
  let reads = 0;
  const read: Reply = (asked) => ((reads += 1) === 1 ? sse(written(STORED.slice(0, 4)), "hang") : rest)(asked);
  const { server, time, store } = setUp(read);
  void store.send("Why?");
  await turns();
  await turns();
  await time.until(store.regenerate());
  const posts = server.asked.filter(({ method, url }) => method === "POST" && !url.endsWith("/stop"));
  assert.deepEqual(posts.map(({ body }) => body), ['{"prompt":"Why?"}', '{"prompt":"Why?"}']);
  assert.equal(new Set(posts.map(({ headers }) => headers.get("idempotency-key"))).size, 2);
  assert.ok(server.asked.some(({ url }) => url.endsWith("/S1/stop")));
  assert.deepEqual([store.view.id, store.view.text], ["S2", "Knots – hälts 🪢"]);
});

test("nothing can be regenerated where nothing was asked", async () => {
  const { store } = setUp();
  await assert.rejects(store.regenerate(), /send one first/);
});

test("a second question leaves the first one's answer, which no longer shows", async () => {
  let reads = 0;
  const read: Reply = (asked) => ((reads += 1) === 1 ? sse(written(STORED.slice(0, 4)), "hang") : rest)(asked);
  const { server, time, store } = setUp(read);
  void store.send("Why?");
  await turns();
  await turns();
  await time.until(store.send("How?"));
  assert.ok(server.asked[1]?.signal.aborted);
  assert.deepEqual([store.view.id, store.view.text], ["S2", "Knots – hälts 🪢"]);
});

test("clear forgets everything, also while an answer is live", async () => {
  const { store, memory, server } = setUp(sse(written(STORED.slice(0, 4)), "hang"));
  void store.send("Why?");
  await turns();
  await turns();
  store.clear();
  await turns();
  assert.deepEqual([store.view.status, store.view.text, store.view.id, memory.kept], ["idle", "", undefined, undefined]);
  assert.ok(server.asked.at(-1)?.signal.aborted);
});

// -- the page's memory --------------------------------------------------------------------------------

const names = ["location", "history", "localStorage"] as const;
let stored: Map<string, string>;
let refuses: boolean;

beforeEach(() => {
  stored = new Map();
  refuses = false;
  const location = { href: "http://page.test/app?tab=2#x" };
  const allowed = (): void => {
    if (refuses) throw new Error("no storage here");
  };
  const values = {
    location,
    history: { state: null, replaceState: (_: unknown, __: string, url: URL) => (location.href = url.href) },
    localStorage: {
      getItem: (key: string) => (allowed(), stored.get(key) ?? null),
      setItem: (key: string, value: string) => (allowed(), stored.set(key, value)),
      removeItem: (key: string) => (allowed(), stored.delete(key)),
    },
  };
  for (const name of names) Object.defineProperty(globalThis, name, { value: values[name], configurable: true });
});

afterEach(() => {
  for (const name of names) Reflect.deleteProperty(globalThis, name);
});

test("the id stands in the URL beside what else is there, and in the storage with the question", () => {
  pageMemory().save({ id: "S1", body: { prompt: "Why?" } });
  assert.equal(location.href, "http://page.test/app?tab=2&stream=S1#x");
  assert.deepEqual(pageMemory().load(), { id: "S1", body: { prompt: "Why?" } });
  pageMemory().save(undefined);
  assert.equal(location.href, "http://page.test/app?tab=2#x");
  assert.equal(pageMemory().load(), undefined);
});

test("a link wins over the storage, and a bare URL finds what is stored", () => {
  pageMemory().save({ id: "S1", body: { prompt: "Why?" } });
  location.href = "http://page.test/app?stream=S2";
  assert.deepEqual(pageMemory().load(), { id: "S2" });
  location.href = "http://page.test/app";
  assert.deepEqual(pageMemory().load(), { id: "S1", body: { prompt: "Why?" } });
});

test("a page without storage has the URL, and what is stored wrong is nothing", () => {
  refuses = true;
  pageMemory().save({ id: "S1", body: {} });
  assert.deepEqual(pageMemory().load(), { id: "S1" });
  refuses = false;
  location.href = "http://page.test/app";
  for (const wrong of ["{", "null", '"S1"', '{"id":1}']) {
    stored.set("holdfast:stream", wrong);
    assert.equal(pageMemory().load(), undefined, wrong);
  }
});
