/** A server and a time for tests: scripted responses, and waits that pass at once. */

import type { Surroundings, Time } from "../src/time.js";

/** Time that stands still until nothing else can happen, and then jumps to the next timer. */
export class VirtualTime implements Time {
  at = 1_700_000_000_000;
  readonly waits: number[] = [];
  chance = 0;
  #timers: { due: number; callback: () => void }[] = [];

  now(): number {
    return this.at;
  }

  random(): number {
    return this.chance;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { due: this.at + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** Let time pass until a promise is settled. */
  async until<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    work.then(
      () => (settled = true),
      () => (settled = true),
    );
    for (let idle = 0; !settled; idle += 1) {
      await turns();
      if (settled) break;
      const next = this.#timers.reduce((a, b) => (b.due < a.due ? b : a), { due: Infinity, callback: () => {} });
      if (next.due === Infinity) {
        if (idle > 50) throw new Error("nothing will ever happen any more");
        continue;
      }
      idle = 0;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.waits.push(next.due - this.at);
      this.at = Math.max(this.at, next.due);
      next.callback();
    }
    return work;
  }
}

/** Let everything happen that needs no time. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A page whose network a test switches. */
export class FakePage implements Surroundings {
  offline = false;
  readonly #listeners = new Set<(why: "online" | "visible") => void>();

  isOffline(): boolean {
    return this.offline;
  }

  onWake(callback: (why: "online" | "visible") => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  wake(why: "online" | "visible"): void {
    for (const listener of [...this.#listeners]) listener(why);
  }

  get watchers(): number {
    return this.#listeners.size;
  }
}

/** How a body ends: as planned, by a reset, or not at all. */
export type Ending = "clean" | "cut" | "hang";

/** What a server was asked. */
export interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: unknown;
  readonly credentials: RequestCredentials | undefined;
  readonly signal: AbortSignal;
}

/** Answers one request, or fails as a network does. */
export type Reply = (asked: Asked) => Response | Promise<Response>;

/** A server that answers each request with the next reply of its script, and with the last one for ever after. */
export class FakeServer {
  readonly asked: Asked[] = [];
  readonly #script: Reply[];

  constructor(...script: Reply[]) {
    this.#script = script;
  }

  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const signal = init.signal ?? new AbortController().signal;
    const asked: Asked = {
      url: String(input),
      method: init.method ?? "GET",
      headers: new Headers(init.headers),
      body: init.body,
      credentials: init.credentials,
      signal,
    };
    this.asked.push(asked);
    signal.throwIfAborted();
    const reply = this.#script[Math.min(this.asked.length, this.#script.length) - 1];
    if (reply === undefined) throw new Error("a server without a script");
    return reply(asked);
  };

  /** The cursors that it was asked for. */
  get cursors(): (string | null)[] {
    return this.asked.map(({ headers }) => headers.get("last-event-id"));
  }
}

const utf8 = new TextEncoder();

/** A response that is an event stream. */
export function sse(text: string | Uint8Array, ending: Ending = "clean", headers: Record<string, string> = {}): Reply {
  return ({ signal }) => {
    const bytes = typeof text === "string" ? utf8.encode(text) : text;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        if (bytes.length > 0) controller.enqueue(bytes);
        signal.addEventListener("abort", () => {
          try {
            controller.error(signal.reason);
          } catch {
            // it has ended before
          }
        });
      },
      // What was enqueued is read before the end, and before a reset too.
      pull(controller) {
        if (ending === "clean") controller.close();
        else if (ending === "cut") controller.error(new TypeError("terminated"));
        else return new Promise(() => {});
        return undefined;
      },
    });
    const type = { "content-type": "text/event-stream; charset=utf-8" };
    return new Response(body, { headers: { ...type, ...headers } });
  };
}

/** A response without a stream. */
export function status(code: number, body: unknown = null, headers: Record<string, string> = {}): Reply {
  return () => {
    const text = body === null ? null : typeof body === "string" ? body : JSON.stringify(body);
    return new Response(text, { status: code, headers });
  };
}

/** No server at all. */
export const unreachable: Reply = () => {
  throw new TypeError("fetch failed");
};

/** No answer, until the request is given up. */
export const silent: Reply = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

/** An answer as the server stores it: every event with its cursor. */
export interface Stored {
  readonly id: string;
  readonly data: string;
}

const CHUNKS = [
  { type: "start", messageId: "msg_1" },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "Knots – " },
  { type: "text-delta", id: "t", delta: "hälts 🪢" },
  { type: "text-end", id: "t" },
  { type: "finish", finishReason: "stop" },
];

/** An answer's chunks. */
export const ANSWER = CHUNKS;

/** The answer with its cursors: two parts share the first entry, the end is an entry of two. */
export const STORED: readonly Stored[] = [
  ...CHUNKS.map((chunk, index) => ({
    id: ["1-1.0", "1-1", "1-2", "1-3", "1-4", "1-5.0"][index] ?? "",
    data: JSON.stringify(chunk),
  })),
  { id: "1-5", data: "[DONE]" },
];

/** The bytes of some events, as the server writes them. */
export function written(events: readonly Stored[], retryMs = 50): string {
  const head = `:\nretry: ${retryMs}\n`;
  return head + events.map(({ id, data }) => `id: ${id}\ndata: ${data}\n\n`).join("");
}

/** What comes after a cursor. */
export function after(cursor: string | null): readonly Stored[] {
  return cursor === null ? STORED : STORED.slice(STORED.findIndex(({ id }) => id === cursor) + 1);
}

/** The whole answer, or what comes after the cursor that was sent. */
export const rest: Reply = (asked) => sse(written(after(asked.headers.get("last-event-id"))))(asked);
