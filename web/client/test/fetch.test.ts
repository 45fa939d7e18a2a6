/** followFetch: one response for the AI SDK, whatever happens to its connections. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { FollowError } from "../src/errors.js";
import { followFetch, type FollowFetchOptions } from "../src/fetch.js";
import { EventDecoder } from "../src/sse.js";
import { ANSWER, FakePage, FakeServer, rest, sse, status, STORED, turns, unreachable, VirtualTime, written, type Reply } from "./fakes.js";

const CHAT = "http://server.test/api/chat";
const NAMED = { "x-holdfast-stream": "S" };
const POST = { method: "POST", headers: { "content-type": "application/json", authorization: "Bearer me" }, body: "{}" };

/** The start of an answer, of which so many events arrive. */
function begun(events: number, ending: "clean" | "cut" | "hang" = "cut"): Reply {
  return sse(written(STORED.slice(0, events)), ending, NAMED);
}

function setUp(script: Reply[], options: FollowFetchOptions = {}) {
  const server = new FakeServer(...script);
  const time = new VirtualTime();
  const surroundings = new FakePage();
  return { server, time, surroundings, fetch: followFetch({ fetch: server.fetch, time, surroundings, ...options }) };
}

/** What the events of a body say. */
function said(body: Uint8Array): unknown[] {
  return new EventDecoder().feed(body).map(({ data }) => (data === "[DONE]" ? data : JSON.parse(data)));
}

async function whole(response: Response): Promise<unknown[]> {
  return said(new Uint8Array(await response.arrayBuffer()));
}

test("the body of a start goes on over cuts and clean ends until [DONE]", async () => {
  const { server, time, fetch } = setUp([begun(2), begun(0, "clean"), sse(written(STORED.slice(2, 4)), "clean"), rest]);
  const response = await time.until(fetch(CHAT, POST));
  assert.equal(response.headers.get("x-holdfast-stream"), "S");
  assert.deepEqual(await time.until(whole(response)), [...ANSWER, "[DONE]"]);
  assert.deepEqual(server.asked.map(({ method }) => method), ["POST", "GET", "GET", "GET"]);
  assert.ok(server.asked.slice(1).every(({ url }) => url === "http://server.test/api/streams/S"));
  assert.deepEqual(server.cursors, [null, "1-1", "1-1", "1-3"]);
});

test("a read is made as the start was: its headers, but none about its body, and its credentials", async () => {
  const { server, time, fetch } = setUp([begun(2), rest]);
  const response = await time.until(fetch(CHAT, { ...POST, credentials: "include" }));
  await time.until(whole(response));
  const [start, read] = server.asked;
  assert.equal(start?.headers.get("content-type"), "application/json");
  assert.match(start?.headers.get("idempotency-key") ?? "", /^[0-9a-f]{32}$/);
  assert.deepEqual([...(read?.headers.keys() ?? [])].sort(), ["accept", "authorization", "last-event-id"]);
  assert.equal(read?.headers.get("authorization"), "Bearer me");
  assert.deepEqual(server.asked.map(({ credentials }) => credentials), ["include", "include"]);
});

test("token and headers of the options go with the first request as well, under the caller's own", async () => {
  const headers = { "x-tenant": "t", "x-own": "option" };
  const { server, time, fetch } = setUp([begun(2), rest], { token: "of the option", headers });
  const init = { method: "POST", headers: { "content-type": "application/json", "x-own": "caller" }, body: "{}" };
  await time.until(whole(await time.until(fetch(CHAT, init))));
  const [start, read] = server.asked;
  assert.equal(start?.headers.get("content-type"), "application/json");
  for (const name of ["authorization", "x-tenant"]) assert.equal(read?.headers.get(name), start?.headers.get(name));
  assert.equal(start?.headers.get("authorization"), "Bearer of the option");
  assert.equal(start?.headers.get("x-tenant"), "t");
  assert.equal(start?.headers.get("x-own"), "caller");
  const resume = setUp([rest], { token: "of the option" });
  await resume.time.until(resume.fetch(`${CHAT}/c/stream`));
  assert.equal(resume.server.asked[0]?.headers.get("authorization"), "Bearer of the option");
  const both = setUp([rest], { token: "of the option" });
  await both.time.until(both.fetch(CHAT, POST));
  assert.equal(both.server.asked[0]?.headers.get("authorization"), "Bearer me");
});

test("headers that cannot be made fail the call, and leave nothing behind", async () => {
  const { time, fetch, server } = setUp([rest], { headers: () => Promise.reject(new Error("no token")) });
  const { signal } = new AbortController();
  await assert.rejects(time.until(fetch(CHAT, { ...POST, signal })), /no token/);
  assert.equal(server.asked.length, 0);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("headers of the options are made anew for reads and win there: a token may have expired", async () => {
  const headers = (): HeadersInit => ({ authorization: "Bearer newer" });
  const { server, time, fetch } = setUp([begun(2), rest], { headers });
  const own = { ...POST.headers, "x-tenant": "t" };
  await time.until(whole(await time.until(fetch(CHAT, { ...POST, headers: own }))));
  assert.deepEqual(server.asked.map((asked) => asked.headers.get("authorization")), ["Bearer me", "Bearer newer"]);
  assert.deepEqual(server.asked.map((asked) => asked.headers.get("x-tenant")), ["t", "t"]);
});

test("a resume that was cut before its first event is asked for again; later its stream goes on", async () => {
  const { server, time, fetch } = setUp([begun(0), begun(3), rest]);
  const response = await time.until(fetch(`${CHAT}/c%2F1/stream`, {}));
  assert.deepEqual(await time.until(whole(response)), [...ANSWER, "[DONE]"]);
  assert.deepEqual(server.asked.map(({ url }) => new URL(url).pathname), [
    "/api/chat/c%2F1/stream",
    "/api/chat/c%2F1/stream",
    "/api/streams/S",
  ]);
  assert.ok(server.asked.every(({ headers }) => !headers.has("idempotency-key")));
});

test("a resume that the server cannot take now is asked for again, when it says", async () => {
  for (const refused of [unreachable, status(408), status(429, null, { "retry-after": "5" }), status(500), status(503)]) {
    const { server, time, fetch } = setUp([refused, refused, rest]);
    const response = await time.until(fetch(`${CHAT}/c/stream`));
    assert.deepEqual([response.status, server.asked.length], [200, 3]);
    assert.ok(server.asked.every(({ method, headers }) => method === "GET" && !headers.has("idempotency-key")));
  }
  const busy = setUp([status(429, null, { "retry-after": "5" }), rest]);
  await busy.time.until(busy.fetch(`${CHAT}/c/stream`));
  assert.ok(busy.time.waits.some((ms) => ms === 5_000), `waited ${String(busy.time.waits)}`);
});

test("a resume is asked for again for 15 s at most, and not where that would be too soon; then its refusal is told", async () => {
  for (const [refused, asked] of [
    [status(503), 6],
    [status(429, null, { "retry-after": "5" }), 4],
    [status(429, null, { "retry-after": "60" }), 1],
  ] as const) {
    const { server, time, fetch } = setUp([refused]);
    const began = time.at;
    assert.ok((await time.until(fetch(`${CHAT}/c/stream`))).status >= 429);
    assert.equal(server.asked.length, asked);
    assert.ok(time.at - began <= 15_000);
  }
  const gone = setUp([unreachable]);
  await assert.rejects(gone.time.until(gone.fetch(`${CHAT}/c/stream`)), TypeError);
  assert.equal(gone.server.asked.length, 6);
});

test("a resume that another try cannot change is told at once; an abort ends the wait for one that can", async () => {
  for (const code of [400, 401, 403, 404, 410]) {
    const { server, time, fetch } = setUp([status(code)]);
    assert.equal((await time.until(fetch(`${CHAT}/c/stream`))).status, code);
    assert.equal(server.asked.length, 1);
  }
  const { server, time, fetch } = setUp([status(503)]);
  const controller = new AbortController();
  time.after(100, () => controller.abort());
  await assert.rejects(time.until(fetch(`${CHAT}/c/stream`, { signal: controller.signal })), { name: "AbortError" });
  assert.equal(server.asked.length, 1);
});

test("who watches is told of each further try for a resume", async () => {
  const states: unknown[] = [];
  const { time, fetch } = setUp([status(503, null, { "retry-after": "2" }), unreachable, rest], {
    onState: ({ phase, ...more }) => states.push(phase === "reconnecting" ? { phase, ...more } : phase),
  });
  await time.until(whole(await time.until(fetch(`${CHAT}/c/stream`))));
  assert.deepEqual(states.slice(0, 3), [
    "connecting",
    { phase: "reconnecting", reason: "the server answered 503", failed: true, failures: 1, delayMs: 2_000 },
    { phase: "reconnecting", reason: "the server cannot be reached", failed: true, failures: 2, delayMs: 800 },
  ]);
});

test("a start whose answer was lost, or that the server could not take, is sent again under the same key", async () => {
  for (const refused of [unreachable, status(502), status(503, null, { "retry-after": "2" }), status(504)]) {
    const { server, time, fetch } = setUp([refused, refused, rest]);
    assert.equal((await time.until(fetch(CHAT, POST))).status, 200);
    const keys = server.asked.map(({ headers }) => headers.get("idempotency-key"));
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1);
  }
});

test("a start is sent four times at most, and its last refusal is told", async () => {
  const busy = setUp([status(503, { error: { code: "x", message: "y" } })]);
  assert.equal((await busy.time.until(busy.fetch(CHAT, POST))).status, 503);
  assert.equal(busy.server.asked.length, 4);
  const gone = setUp([unreachable]);
  await assert.rejects(gone.time.until(gone.fetch(CHAT, POST)), TypeError);
  assert.equal(gone.server.asked.length, 4);
});

test("refusals that people have to hear are passed on at once, as they are", async () => {
  for (const [code, headers] of [[400, {}], [401, {}], [409, {}], [429, { "retry-after": "1" }], [503, { "retry-after": "60" }]] as const) {
    const { server, time, fetch } = setUp([status(code, { error: { code: "x", message: "Do this." } }, headers)]);
    const response = await time.until(fetch(CHAT, POST));
    assert.deepEqual([response.status, await response.json()], [code, { error: { code: "x", message: "Do this." } }]);
    assert.equal(server.asked.length, 1);
  }
});

test("a body that can be sent once is sent once", async () => {
  const { server, time, fetch } = setUp([unreachable]);
  const body = new ReadableStream();
  await assert.rejects(time.until(fetch(CHAT, { ...POST, body })), TypeError);
  assert.equal(server.asked.length, 1);
});

test("204, and streams that are somebody else's, are passed on as they are", async () => {
  const { fetch, time } = setUp([status(204), sse("data: theirs\n\n")]);
  assert.equal((await time.until(fetch(`${CHAT}/c/stream`))).status, 204);
  assert.equal(await (await time.until(fetch(CHAT, POST))).text(), "data: theirs\n\n");
});

test("a final refusal in the middle fails the body, with what happened", async () => {
  const { fetch, time, server } = setUp([begun(3), status(410)]);
  const response = await time.until(fetch(CHAT, POST));
  await assert.rejects(time.until(whole(response)), (error) => error instanceof FollowError && error.code === "expired");
  assert.equal(server.asked.length, 2);
});

test("the caller's abort ends the body with its reason, in a connection and between two", async () => {
  for (const script of [[begun(2, "hang")], [begun(2), status(503)]]) {
    const { fetch, time, server, surroundings } = setUp(script);
    const controller = new AbortController();
    const response = await time.until(fetch(CHAT, { ...POST, signal: controller.signal }));
    time.after(100, () => controller.abort());
    await assert.rejects(time.until(whole(response)), { name: "AbortError" });
    assert.ok(server.asked.every(({ signal }) => signal.aborted));
    assert.equal(surroundings.watchers, 0);
  }
});

test("an abort before the answer gives the start up", async () => {
  const { fetch, time, server } = setUp([unreachable]);
  const controller = new AbortController();
  time.after(100, () => controller.abort());
  await assert.rejects(time.until(fetch(CHAT, { ...POST, signal: controller.signal })), { name: "AbortError" });
  assert.equal(server.asked.length, 1);
});

test("a body that nobody reads any more hangs up, and asks for nothing", async () => {
  const { fetch, time, server, surroundings } = setUp([begun(2, "hang")]);
  const response = await time.until(fetch(CHAT, POST));
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await turns();
  assert.ok(server.asked[0]?.signal.aborted);
  assert.equal(server.asked.length, 1);
  assert.equal(surroundings.watchers, 0);
});

test("nothing listens to the caller's signal once an answer has ended, however it ended", async () => {
  const { signal } = new AbortController(); // one of a page that lives long, for many calls
  const listeners = (): number => getEventListeners(signal, "abort").length;
  const ended = setUp([begun(2), rest]);
  await ended.time.until(whole(await ended.time.until(ended.fetch(CHAT, { ...POST, signal }))));
  assert.equal(listeners(), 0);
  const failed = setUp([begun(2), status(410)]);
  await assert.rejects(failed.time.until(whole(await failed.time.until(failed.fetch(CHAT, { ...POST, signal })))));
  assert.equal(listeners(), 0);
  const lost = setUp([unreachable]);
  await assert.rejects(lost.time.until(lost.fetch(CHAT, { ...POST, signal })));
  assert.equal(listeners(), 0);
  const nothing = setUp([status(204)]);
  await nothing.time.until(nothing.fetch(`${CHAT}/c/stream`, { signal }));
  assert.equal(listeners(), 0);
  const elsewhere = setUp([begun(1, "hang")]);
  await assert.rejects(elsewhere.time.until(elsewhere.fetch("http://a.test/ask", { ...POST, signal })), /streamUrl/);
  assert.equal(listeners(), 0);
  assert.ok(elsewhere.server.asked[0]?.signal.aborted, "its connection is left open");
});

test("the stream's route lies beside the chat's, wherever that is, or where the caller says", async () => {
  for (const [asked, wanted] of [
    ["http://a.test/api/chat", "http://a.test/api/streams/S"],
    ["http://a.test/chat/api/chat?x=1", "http://a.test/chat/api/streams/S"],
    ["http://a.test/backend/chat/a/b/stream", "http://a.test/backend/streams/S"],
  ] as const) {
    const { server, time, fetch } = setUp([begun(1), rest]);
    const method = asked.includes("/stream") ? {} : POST;
    await time.until(whole(await time.until(fetch(asked, method))));
    assert.equal(server.asked[1]?.url, wanted);
  }
  const seen: string[] = [];
  const { server, time, fetch } = setUp([begun(1), rest], {
    streamUrl: (stream, by) => new URL(`/elsewhere/${stream}`, by),
    onStream: (stream, url) => seen.push(stream, url),
  });
  await time.until(whole(await time.until(fetch("http://a.test/ask", POST))));
  assert.equal(server.asked[1]?.url, "http://a.test/elsewhere/S");
  assert.deepEqual(seen, ["S", "http://a.test/elsewhere/S"]);
  const lost = setUp([begun(1), rest]);
  await assert.rejects(lost.time.until(lost.fetch("http://a.test/ask", POST)), /streamUrl/);
});

test("a Request is taken like a URL", async () => {
  const { server, time, fetch } = setUp([begun(2), rest]);
  const response = await time.until(fetch(new Request(CHAT, POST)));
  assert.deepEqual(await time.until(whole(response)), [...ANSWER, "[DONE]"]);
  assert.equal(server.asked[0]?.body, "{}");
});

test("states are asked for and told, and kept from the AI SDK", async () => {
  const phases: string[] = [];
  const sight = `data: {"type":"data-holdfast","data":{"state":"live","attempt":1},"transient":true}\n\n`;
  const { server, time, fetch } = setUp([sse(sight + written(STORED.slice(0, 2)), "cut", NAMED), rest], {
    onState: ({ phase }) => phases.push(phase),
  });
  assert.deepEqual(await time.until(whole(await time.until(fetch(CHAT, POST)))), [...ANSWER, "[DONE]"]);
  assert.deepEqual(server.asked.map(({ url }) => new URL(url).search), ["?state=1", "?state=1"]);
  assert.deepEqual(phases, ["connecting", "live", "live", "reconnecting", "live", "ended"]);
});
