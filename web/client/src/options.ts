/** What all ways of following have in common: bounds, what is told on the way, and how requests are made. */

import type { Writer } from "./chunks.js";
import type { FollowError } from "./errors.js";
import type { Surroundings, Time } from "./time.js";

/** How the following of an answer stands. */
export type FollowState =
  | { readonly phase: "connecting" }
  | {
      readonly phase: "live";
      /** Who writes; only where the server tells it. */
      readonly writer: Writer | undefined;
    }
  | {
      readonly phase: "reconnecting";
      /** A few words for people. */
      readonly reason: string;
      /** False where the server ended its response as planned, at its platform's time limit. */
      readonly failed: boolean;
      /** Connections in a row that came to nothing. */
      readonly failures: number;
      /** The wait before the next connection, in ms. */
      readonly delayMs: number;
    }
  | {
      readonly phase: "ended";
      /** `complete`: the server had nothing more to tell. `lost`: see `error`. */
      readonly outcome: "finished" | "failed" | "stopped" | "complete" | "lost";
      readonly error: FollowError | undefined;
    };

/** Headers, or what makes them anew for every connection: a token may expire before an answer ends. */
export type HeadersSource = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

/** Options of every way to follow. */
export interface FollowOptions {
  /** Sent as `Authorization: Bearer …`: a read token of the stream, or what tells who you are. */
  token?: string | undefined;
  /** Sent with every connection. */
  headers?: HeadersSource | undefined;
  /** As for `fetch`; cookies go to the page's own origin by default. */
  credentials?: RequestCredentials | undefined;
  /** The `fetch` to use. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Bound for the whole, in ms; without one there is none. */
  deadlineMs?: number | undefined;
  /** A connection that is silent for so long, heartbeats included, counts as dead, in ms. 45 s. */
  idleMs?: number | undefined;
  /** Bound for the time without a sign of life while there is a network, in ms. Three minutes. */
  giveUpMs?: number | undefined;
  /** Told at every change. */
  onState?: ((state: FollowState) => void) | undefined;
  /** Time, for tests. */
  time?: Time | undefined;
  /** The network and the page, for tests. */
  surroundings?: Surroundings | undefined;
}

/** Headers of one connection that goes on from a cursor. */
export async function readHeaders(options: FollowOptions, cursor: string | undefined): Promise<Headers> {
  const headers = new Headers(await given(options));
  headers.set("accept", "text/event-stream");
  if (cursor !== undefined) headers.set("last-event-id", cursor);
  return headers;
}

/** The caller's own headers, made anew. */
export async function given(options: FollowOptions): Promise<Headers> {
  const source = options.headers;
  const headers = new Headers(typeof source === "function" ? await source() : source);
  if (options.token !== undefined) headers.set("authorization", `Bearer ${options.token}`);
  return headers;
}

/** The `fetch` to use. */
export function fetchOf(options: FollowOptions): typeof globalThis.fetch {
  // Looked up at every call: a page may put another one in its place.
  return options.fetch ?? ((input, init) => globalThis.fetch(input, init));
}

/** A URL that asks the server to tell who writes (rule D7). */
export function askingForStates(url: string): string {
  const [path = "", fragment] = url.split("#", 2);
  return `${path}${path.includes("?") ? "&" : "?"}state=1${fragment === undefined ? "" : `#${fragment}`}`;
}
