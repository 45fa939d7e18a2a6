/** A start that may be sent again: the same key is the same answer, however often it arrives (rule S2). */

import { retryAfterMs } from "./errors.js";
import { fetchOf, type FollowOptions } from "./options.js";
import { page, pause, systemTime } from "./time.js";

const TRIES = 4;
const FIRST_DELAY_MS = 400;
/** A server that asks for more than this has to be heard by people. */
const LONGEST_WAIT_MS = 10_000;
/** Statuses of a start that came to nothing, or whose answer was lost on the way. */
const AGAIN = new Set([502, 503, 504]);

/**
 * Send a start, again where the network or the server was not there.
 *
 * @returns The first response that says something.
 * @throws What `fetch` throws, once all tries are used up.
 */
export async function sendStart(url: string | URL, init: RequestInit, options: FollowOptions): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has("idempotency-key")) headers.set("idempotency-key", randomKey());
  const time = options.time ?? systemTime;
  const surroundings = options.surroundings ?? page;
  const signal = init.signal ?? undefined;
  for (let number = 1; ; number += 1) {
    let delayMs = FIRST_DELAY_MS * 2 ** (number - 1) * (1 + 0.3 * time.random());
    try {
      const response = await fetchOf(options)(url, { ...init, headers });
      if (!AGAIN.has(response.status) || number === TRIES) return response;
      delayMs = Math.max(delayMs, retryAfterMs(response.headers, time.now()) ?? 0);
      if (delayMs > LONGEST_WAIT_MS) return response;
      await response.body?.cancel();
    } catch (error) {
      if (signal?.aborted || number === TRIES) throw error;
    }
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
