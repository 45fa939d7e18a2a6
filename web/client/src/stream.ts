/** Follow an answer by its URL, without any framework. */

import type { UIChunk } from "./chunks.js";
import { FollowError, said } from "./errors.js";
import { Follower, type Connect } from "./follower.js";
import { askingForStates, fetchOf, given, readHeaders, type FollowOptions } from "./options.js";

/** Options of `followStream`. */
export interface FollowStreamOptions extends FollowOptions {
  /** Where to go on from; without one the answer is read from its beginning. */
  cursor?: string | undefined;
  /** Ends the following; the iteration then throws the signal's reason. It does not stop the answer. */
  signal?: AbortSignal | undefined;
  /** Told where to go on from, each time that you ask for the next part: what came before has been dealt with. */
  onCursor?: ((cursor: string) => void) | undefined;
}

/**
 * Yield the parts of an answer, in order and each once, until the answer ends.
 *
 * Clean ends, cut connections, refused connections and 5xx are survived by connecting again from the last part.
 *
 * @param url The stream's URL, as the start gave it.
 * @throws {FollowError} There is no such stream, it is not yours, it has expired, or a bound was reached.
 */
export async function* followStream(
  url: string | URL,
  options: FollowStreamOptions = {},
): AsyncGenerator<UIChunk, void, undefined> {
  const at = absolute(url);
  const connect = reading(options.onState === undefined ? at : askingForStates(at), options);
  const follower = new Follower(connect, options, options.signal, options.cursor);
  options.onState?.({ phase: "connecting" });
  for await (const { chunk, cursor } of follower.events()) {
    if (chunk !== undefined) yield chunk;
    if (cursor !== undefined) options.onCursor?.(cursor);
  }
}

/** Makes the requests for one stream. */
export function reading(url: string, options: FollowOptions): Connect {
  return async (cursor, signal) => {
    const headers = await readHeaders(options, cursor);
    const credentials = options.credentials ?? "same-origin";
    return fetchOf(options)(url, { headers, signal, credentials, cache: "no-store" });
  };
}

/** Options of `stopStream`. */
export type StopOptions = Pick<FollowOptions, "token" | "headers" | "credentials" | "fetch"> & {
  /** Gives the request up. */
  signal?: AbortSignal | undefined;
};

/**
 * Stop an answer: the model stops, what it said stays, and every reader is told. Stopping twice is harmless.
 *
 * @param url The stream's URL.
 * @throws {FollowError} The server refused, or did not answer.
 */
export async function stopStream(url: string | URL, options: StopOptions = {}): Promise<void> {
  const stop = new URL(absolute(url));
  stop.pathname += "/stop";
  const response = await fetchOf(options)(stop, {
    method: "POST",
    headers: await given(options),
    credentials: options.credentials ?? "same-origin",
    signal: options.signal ?? null,
  });
  if (response.ok) return;
  const code = response.status === 404 ? "not_found" : response.status === 410 ? "expired" : "refused";
  const message = (await said(response)) || `The server did not stop the answer (${response.status}).`;
  throw new FollowError(code, message, { status: response.status });
}

/** A URL as it stands, relative to the page where there is one. */
export function absolute(url: string | URL): string {
  try {
    return new URL(url, globalThis.location?.href).href;
  } catch (cause) {
    throw new FollowError("refused", `This is no URL to read from: ${String(url).split("?", 1)[0]}`, { cause });
  }
}
