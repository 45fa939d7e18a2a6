/** First requests that may be sent again: starts, since the same key is the same answer (rule S2), and reads. */

import { isTransient, retryAfterMs } from "./errors.js";
import { fetchOf, type FollowOptions } from "./options.js";
import { page, pause, systemTime } from "./time.js";

const FIRST_DELAY_MS = 400;
/** A server that asks for more than this has to be heard by people. */
const LONGEST_WAIT_MS = 10_000;

/** When a request is sent again. */
interface Patience {
  /** How often it is sent at most. */
  readonly tries: number;
  /** No try begins later than so many ms after the first. */
  readonly withinMs: number;
  /** Whether a status says that sending it again may help. */
  readonly isWorth: (status: number) => boolean;
}

/** The statuses say that a start came to nothing, or that its answer was lost on the way. People have to hear of others. */
const START: Patience = { tries: 4, withinMs: Infinity, isWorth: (status) => [502, 503, 504].includes(status) };
/** Somebody waits in front of an empty page, so this is shorter than what an answer that is being read is given. */
const READ: Patience = { tries: Infinity, withinMs: 15_000, isWorth: isTransient };

/**
 * Send a start, again where the network or the server was not there.
 *
 * @returns The first response that says something.
 * @throws What `fetch` throws, once all tries are used up.
 */
export async function sendStart(url: string | URL, init: RequestInit, options: FollowOptions): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has("idempotency-key")) headers.set("idempotency-key", randomKey());
  return send(url, { ...init, headers }, { ...options, onState: undefined }, START);
}

/**
 * Send the first request of a reader, again where the network, the server or a place for another reader was not there.
 *
 * @returns The first response that says something, or the last refusal.
 * @throws What `fetch` throws, once the time for tries is over.
 */
export function sendRead(url: string | URL, init: RequestInit, options: FollowOptions): Promise<Response> {
  return send(url, init, options, READ);
}

async function send(url: string | URL, init: RequestInit, options: FollowOptions, patience: Patience): Promise<Response> {
  const time = options.time ?? systemTime;
  const surroundings = options.surroundings ?? page;
  const signal = init.signal ?? undefined;
  const began = time.now();
  for (let failures = 1; ; failures += 1) {
    let delayMs = FIRST_DELAY_MS * 2 ** (failures - 1) * (1 + 0.3 * time.random());
    let reason = "the server cannot be reached";
    const isLast = (): boolean => failures >= patience.tries || time.now() - began + delayMs > patience.withinMs;
    try {
      const response = await fetchOf(options)(url, init);
      if (!patience.isWorth(response.status)) return response;
      delayMs = Math.max(delayMs, retryAfterMs(response.headers, time.now()) ?? 0);
      if (delayMs > LONGEST_WAIT_MS || isLast()) return response;
      await response.body?.cancel();
      reason = `the server answered ${response.status}`;
    } catch (error) {
      if (signal?.aborted || isLast()) throw error;
    }
    options.onState?.({ phase: "reconnecting", reason, failed: true, failures, delayMs });
    await pause(delayMs, time, surroundings, signal);
  }
}

/** Whether a body can be sent more than once. */
export function isRepeatable(body: BodyInit | null | undefined): boolean {
  return !(body instanceof ReadableStream);
}

/** 128 random bits; `crypto.randomUUID` is only there on secure origins. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
