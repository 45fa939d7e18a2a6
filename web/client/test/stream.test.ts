/** followStream: each part once, and a stop for good where going on is in vain. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { UIChunk } from "../src/chunks.js";
import { FollowError } from "../src/errors.js";
import type { FollowState } from "../src/options.js";
import { followStream, stopStream, type FollowStreamOptions } from "../src/stream.js";
import { after, ANSWER, FakePage, FakeServer, rest, silent, sse, status, STORED, turns, unreachable, VirtualTime, written, type Reply } from "./fakes.js";

const URL_ = "http://server.test/api/streams/S";

interface Followed {
  readonly chunks: UIChunk[];
  readonly error: unknown;
  readonly server: FakeServer;
  readonly time: VirtualTime;
  readonly states: FollowState[];
}

/** Follow a scripted server to the end. */
async function follow(script: Reply[], options: FollowStreamOptions = {}, time = new VirtualTime()): Promise<Followed> {
  const server = new FakeServer(...script);
  const chunks: UIChunk[] = [];
  const states: FollowState[] = [];
  let error: unknown;
  const surroundings = new FakePage();
  const given = { fetch: server.fetch, time, surroundings, onState: (state: FollowState) => states.push(state) };
  const reading = (async () => {
    for await (const chunk of followStream(URL_, { ...given, ...options })) chunks.push(chunk);
  })();
  await time.until(reading.catch((thrown: unknown) => (error = thrown)));
  await turns();
  assert.equal(surroundings.watchers, 0, "nothing watches the page any more");
  for (const { signal } of server.asked) assert.ok(signal.aborted, "every connection is closed");
  return { chunks, error, server, time, states };
}

function codeOf(error: unknown): string {
  assert.ok(error instanceof FollowError, String(error));
  return error.code;
}

test("an answer in one response is told once, and nothing is asked after [DONE]", async () => {
  const { chunks, error, server } = await follow([rest]);
  assert.deepEqual(chunks, ANSWER);
  assert.equal(error, undefined);
  assert.equal(server.asked.length, 1);
});

for (const ending of ["clean", "cut"] as const) {
  test(`a body that ends anywhere (${ending}) is gone on from, no part lost and none twice`, async () => {
    const whole = new TextEncoder().encode(written(STORED));
    for (let at = 0; at < whole.length; at += 1) {
      const { chunks, error, server } = await follow([sse(whole.slice(0, at), ending), rest]);
      assert.deepEqual(chunks, ANSWER, `${ending} at ${at}`);
      assert.equal(error, undefined);
      assert.equal(server.asked.length, 2, `${ending} at ${at}`);
    }
  });
}

test("a cut after every event, and one in the middle of the next, loses nothing", async () => {
  const bit: Reply = (asked) => {
    const left = after(asked.headers.get("last-event-id"));
    return sse(`${written(left.slice(0, 1))}id: 9-9\ndata: {"type":"text-delta"`, "cut")(asked);
  };
  const { chunks, server } = await follow([bit]);
  assert.deepEqual(chunks, ANSWER);
  assert.deepEqual(server.cursors, [null, ...STORED.slice(0, -1).map(({ id }) => id)]);
});

test("a server or a proxy that ignores the cursor repeats itself, and nobody sees it", async () => {
  const all = written(STORED);
  const { chunks } = await follow([sse(all.slice(0, 150), "cut"), sse(all.slice(0, 260)), sse(all)]);
  assert.deepEqual(chunks, ANSWER);
});

test("a server that cannot go on says so under the reader's own cursor", async () => {
  const failed = `id: 1-3\ndata: {"type":"error","errorText":"A part is missing."}\n\nid: 1-3\ndata: [DONE]\n\n`;
  const { chunks, states } = await follow([sse(written(STORED.slice(0, 4))), sse(failed)]);
  assert.deepEqual(chunks.at(-1), { type: "error", errorText: "A part is missing." });
  assert.deepEqual(states.at(-1), { phase: "ended", outcome: "failed", error: undefined });
});

test("events without an id come with the next one that has one, or again", async () => {
  const bare = (text: string): string => `data: {"type":"text-delta","id":"b","delta":"${text}"}\n\n`;
  const { chunks } = await follow([
    sse(bare("one"), "cut"),
    sse(bare("one") + bare("two") + written(STORED.slice(0, 1)), "cut"),
    rest,
  ]);
  assert.deepEqual(chunks.slice(0, 2).map(({ delta }) => delta), ["one", "two"]);
  assert.deepEqual(chunks.slice(2), ANSWER);
});

test("204 is the end: a reader that has everything asks once", async () => {
  const { chunks, error, server, states } = await follow([status(204)], { cursor: "1-5" });
  assert.deepEqual([chunks, error, server.cursors], [[], undefined, ["1-5"]]);
  assert.deepEqual(states.at(-1), { phase: "ended", outcome: "complete", error: undefined });
});

for (const [code, wanted] of [
  [400, "refused"],
  [401, "forbidden"],
  [403, "forbidden"],
  [404, "not_found"],
  [410, "expired"],
  [422, "refused"],
] as const) {
  test(`${code} is final: ${wanted}, after one request`, async () => {
    const { error, server, states } = await follow([status(code, { error: { code: "x", message: "Do this." } })]);
    assert.equal(codeOf(error), wanted);
    assert.equal((error as FollowError).status, code);
    assert.equal(server.asked.length, 1);
    assert.deepEqual(states.at(-1), { phase: "ended", outcome: "lost", error });
    if (wanted === "refused") assert.match((error as FollowError).message, /Do this\./);
  });

  test(`${code} in the middle of an answer is final too, and tells the cursor`, async () => {
    const { chunks, error, server } = await follow([sse(written(STORED.slice(0, 3)), "cut"), status(code)]);
    assert.equal(codeOf(error), wanted);
    assert.equal((error as FollowError).cursor, "1-2");
    assert.deepEqual(chunks, ANSWER.slice(0, 3));
    assert.equal(server.asked.length, 2);
  });
}

test("a page in the place of the stream is refused, say of a proxy that wants a login", async () => {
  const { error, server } = await follow([status(200, "<html>", { "content-type": "text/html" })]);
  assert.equal(codeOf(error), "refused");
  assert.equal(server.asked.length, 1);
});

test("an event that is no chunk is refused", async () => {
  for (const data of ["{", '"text"', "null", "{}", "[1]"]) {
    const { error } = await follow([sse(`id: 1-1\ndata: ${data}\n\n`)]);
    assert.equal(codeOf(error), "refused", data);
  }
});

for (const code of [408, 425, 429, 500, 502, 503, 504]) {
  test(`${code} passes`, async () => {
    const { chunks, server } = await follow([status(code), status(code), rest]);
    assert.deepEqual(chunks, ANSWER);
    assert.equal(server.asked.length, 3);
  });
}

test("Retry-After is waited out, in seconds and as a date", async () => {
  const time = new VirtualTime();
  const date = new Date(time.at + 60_000).toUTCString();
  const { chunks } = await follow(
    [status(429, null, { "retry-after": "20" }), status(503, null, { "retry-after": date }), rest],
    {},
    time,
  );
  assert.deepEqual(chunks, ANSWER);
  assert.deepEqual([time.waits[0], Math.round((time.waits[1] ?? 0) / 1000)], [20_000, 40]);
});

test("pauses grow from a quarter of a second to fifteen, by a factor that chance adds to alone", async () => {
  for (const [chance, factor] of [[0, 1], [0.999, 1.2997]] as const) {
    const time = new VirtualTime();
    time.chance = chance;
    await follow([...Array<Reply>(9).fill(unreachable), rest], {}, time);
    const expected = [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000].map((ms) => Math.round(ms * factor));
    assert.deepEqual(time.waits.map(Math.round), expected);
  }
});

test("retry is respected after a clean end and after a cut", async () => {
  for (const ending of ["clean", "cut"] as const) {
    const { time } = await follow([sse(written(STORED.slice(0, 2), 700), ending), rest]);
    assert.deepEqual(time.waits, [700]);
  }
});

test("a clean end without retry is followed at once: the server has reached its limit", async () => {
  const { time } = await follow([sse(`id: 1-1.0\ndata: ${STORED[0]?.data}\n\n`), rest]);
  assert.deepEqual(time.waits, [0]);
});

test("a server that ends every response at once is given up, and not asked all the time", async () => {
  for (const text of ["", "retry: 0\n", ":\nretry: 0\n"]) {
    const { error, server, time } = await follow([sse(text)]);
    assert.equal(codeOf(error), "gave_up", JSON.stringify(text));
    assert.ok(server.asked.length < 2_000, `${server.asked.length} requests in three minutes`);
    assert.ok(Math.abs(time.at - 1_700_000_180_000) <= 15_000);
  }
});

test("a server that is gone is given up after three minutes, with the cause", async () => {
  const { error, server } = await follow([sse(written(STORED.slice(0, 3)), "cut"), unreachable]);
  assert.equal(codeOf(error), "gave_up");
  assert.equal((error as FollowError).cursor, "1-2");
  assert.match(String((error as FollowError).cause), /cannot be reached/);
  assert.ok(server.asked.length < 25);
});

test("a silent connection, and a silent request, count as dead after 45 s", async () => {
  for (const mute of [sse(written(STORED.slice(0, 3)), "hang"), silent]) {
    const { chunks, time } = await follow([mute, rest]);
    assert.deepEqual(chunks, ANSWER);
    assert.equal(time.waits[0], 45_000);
  }
});

test("heartbeats keep a connection that says nothing else", async () => {
  const time = new VirtualTime();
  const beats: Reply = ({ signal }) => {
    let left = 30;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) =>
        new Promise((resolve) => {
          time.after(15_000, () => {
            left -= 1;
            const text = left > 0 ? ":\n" : written(STORED);
            if (!signal.aborted) controller.enqueue(new TextEncoder().encode(text));
            resolve();
          });
        }),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  const { chunks, server } = await follow([beats], {}, time);
  assert.deepEqual(chunks, ANSWER);
  assert.equal(server.asked.length, 1);
});

test("a deadline ends it, while it reads, waits, or is not answered", async () => {
  for (const script of [sse(written(STORED.slice(0, 3)), "hang"), unreachable, silent]) {
    const { error, time } = await follow([script], { deadlineMs: 20_000 });
    assert.equal(codeOf(error), "deadline");
    assert.ok(time.at <= 1_700_000_020_000);
  }
});

test("the cursor, the token and headers are sent, and headers are made anew for every connection", async () => {
  let made = 0;
  const options: FollowStreamOptions = {
    token: "tok",
    headers: async () => ({ "x-made": String((made += 1)) }),
    credentials: "include",
  };
  const { server } = await follow([sse(written(STORED.slice(0, 3)), "cut"), rest], options);
  assert.deepEqual(server.asked.map(({ headers }) => headers.get("authorization")), ["Bearer tok", "Bearer tok"]);
  assert.deepEqual(server.asked.map(({ headers }) => headers.get("x-made")), ["1", "2"]);
  assert.deepEqual(server.asked.map(({ headers }) => headers.get("accept")), ["text/event-stream", "text/event-stream"]);
  assert.deepEqual(server.asked.map(({ credentials }) => credentials), ["include", "include"]);
  assert.deepEqual(server.cursors, [null, "1-2"]);
});

test("headers that cannot be made now are made later", async () => {
  let tries = 0;
  const headers = (): HeadersInit => {
    tries += 1;
    if (tries < 3) throw new TypeError("no token yet");
    return {};
  };
  const { chunks } = await follow([rest], { headers });
  assert.deepEqual(chunks, ANSWER);
});

test("an abort ends it with its own reason: before, while it connects, reads and waits", async () => {
  const reason = new Error("enough");
  assert.equal((await follow([rest], { signal: AbortSignal.abort(reason) })).error, reason);
  for (const script of [silent, sse(written(STORED.slice(0, 3)), "hang"), unreachable]) {
    const controller = new AbortController();
    const time = new VirtualTime();
    time.after(100, () => controller.abort(reason));
    const { error, server } = await follow([script], { signal: controller.signal }, time);
    assert.equal(error, reason);
    assert.equal(server.asked.length, 1);
  }
});

test("leaving the loop closes the connection", async () => {
  const server = new FakeServer(sse(written(STORED.slice(0, 3)), "hang"));
  for await (const chunk of followStream(URL_, { fetch: server.fetch })) {
    assert.equal(chunk.type, "start");
    break;
  }
  assert.ok(server.asked[0]?.signal.aborted);
});

test("the cursor is told once the part before it was dealt with", async () => {
  const log: string[] = [];
  const server = new FakeServer(rest);
  const time = new VirtualTime();
  const reading = (async () => {
    const options = { fetch: server.fetch, time, onCursor: (cursor: string) => log.push(cursor) };
    for await (const chunk of followStream(URL_, options)) log.push(chunk.type);
  })();
  await time.until(reading);
  assert.deepEqual(log.slice(0, 4), ["start", "1-1.0", "text-start", "1-1"]);
  assert.deepEqual(log.slice(-3), ["finish", "1-5.0", "1-5"]);
});

test("states tell connecting, live with its writer, reconnecting and the end", async () => {
  const sight = (state: string, attempt: number): string =>
    `data: {"type":"data-holdfast","data":{"state":"${state}","attempt":${attempt}},"transient":true}\n\n`;
  const { states, chunks, server } = await follow([
    sse(sight("queued", 0) + sight("live", 1) + written(STORED.slice(0, 3)), "cut"),
    status(503),
    sse(sight("live", 2) + written(STORED.slice(3))),
  ]);
  assert.deepEqual(chunks, ANSWER);
  assert.ok(server.asked.every(({ url }) => url === `${URL_}?state=1`));
  assert.deepEqual(states, [
    { phase: "connecting" },
    { phase: "live", writer: undefined },
    { phase: "live", writer: { state: "queued", attempt: 0 } },
    { phase: "live", writer: { state: "live", attempt: 1 } },
    { phase: "reconnecting", reason: "the connection was cut", failed: true, failures: 0, delayMs: 50 },
    { phase: "reconnecting", reason: "the server answered 503", failed: true, failures: 1, delayMs: 250 },
    { phase: "live", writer: { state: "live", attempt: 1 } },
    { phase: "live", writer: { state: "live", attempt: 2 } },
    { phase: "ended", outcome: "finished", error: undefined },
  ]);
});

test("the end tells how the answer ended", async () => {
  for (const [chunk, outcome] of [
    ['{"type":"abort"}', "stopped"],
    ['{"type":"error","errorText":"x"}', "failed"],
    ['{"type":"finish"}', "finished"],
  ]) {
    const { states } = await follow([sse(`id: 1-5.0\ndata: ${chunk}\n\nid: 1-5\ndata: [DONE]\n\n`)]);
    assert.deepEqual(states.at(-1), { phase: "ended", outcome, error: undefined });
  }
});

test("a machine without a network waits for it without giving up, and goes on at once when it is back", async () => {
  const surroundings = new FakePage();
  const time = new VirtualTime();
  surroundings.offline = true;
  time.after(3_600_000, () => {
    surroundings.offline = false;
    surroundings.wake("online");
  });
  const server = new FakeServer(sse(written(STORED.slice(0, 3)), "cut"), unreachable);
  let back: number | undefined;
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    if (surroundings.offline || server.asked.length === 0) return server.fetch(input, init);
    back ??= time.at;
    return rest({ headers: new Headers(init?.headers), signal: init?.signal } as never);
  };
  const chunks: UIChunk[] = [];
  const reading = (async () => {
    for await (const chunk of followStream(URL_, { fetch, time, surroundings })) chunks.push(chunk);
  })();
  await time.until(reading);
  assert.deepEqual(chunks, ANSWER);
  assert.equal(back, 1_700_003_600_000);
});

test("a network that is back replaces a connection that may be dead, and one that is looked at again does not", async () => {
  for (const [why, requests] of [["online", 2], ["visible", 1]] as const) {
    const surroundings = new FakePage();
    const time = new VirtualTime();
    const server = new FakeServer(sse(written(STORED.slice(0, 3)), "hang"), rest);
    time.after(1_000, () => surroundings.wake(why));
    time.after(20_000, () => assert.equal(server.asked.length, requests));
    const reading = (async () => {
      for await (const _ of followStream(URL_, { fetch: server.fetch, time, surroundings }));
    })();
    await time.until(reading);
  }
});

test("a window that takes no listeners, as in React Native, is no obstacle", async () => {
  for (const name of ["window", "document"]) Object.defineProperty(globalThis, name, { value: {}, configurable: true });
  try {
    const kinds: string[] = [];
    const { fetch } = new FakeServer(sse(written(STORED.slice(0, 3), 0)), rest);
    for await (const { type } of followStream(URL_, { fetch })) kinds.push(type);
    assert.deepEqual(kinds, ANSWER.map(({ type }) => type));
  } finally {
    for (const name of ["window", "document"]) Reflect.deleteProperty(globalThis, name);
  }
});

test("what is no URL is refused and not asked for", async () => {
  const server = new FakeServer(rest);
  const reading = followStream("/api/streams/S", { fetch: server.fetch }).next();
  await assert.rejects(reading, (error) => codeOf(error) === "refused");
  assert.equal(server.asked.length, 0);
});

test("stopping posts to the stop route, beside a query, and tells a refusal", async () => {
  const server = new FakeServer(status(200, { stopped: true }), status(404), status(503));
  await stopStream(`${URL_}?token=t`, { fetch: server.fetch, token: "mine" });
  assert.equal(server.asked[0]?.url, `${URL_}/stop?token=t`);
  assert.equal(server.asked[0]?.method, "POST");
  assert.equal(server.asked[0]?.headers.get("authorization"), "Bearer mine");
  await assert.rejects(stopStream(URL_, { fetch: server.fetch }), (error) => codeOf(error) === "not_found");
  await assert.rejects(stopStream(URL_, { fetch: server.fetch }), (error) => codeOf(error) === "refused");
});
