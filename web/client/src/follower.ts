/** One answer over any number of connections: what is remembered between them, and the waits. */

import { parseChunk, writerOf, type UIChunk, type Writer } from "./chunks.js";
import { FollowError, Lost, refusal } from "./errors.js";
import type { FollowOptions, FollowState } from "./options.js";
import { EventDecoder, EventTooLong, type ServerSentEvent } from "./sse.js";
import { page, pause, systemTime, type Surroundings, type Time } from "./time.js";

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 15_000;
/** How much longer than asked for a wait may be: readers that were cut together do not come back together. */
const JITTER = 0.3;
const IDLE_MS = 45_000;
const GIVE_UP_MS = 180_000;
/** A heartbeat in a connection's first moments proves little: it may be all that the server has to say. */
const PROVING_MS = 1_000;

/** One part of an answer, or its end. */
export interface Followed {
  /** Going on from here yields exactly what comes after this part; undefined where the part has no id of its own. */
  readonly cursor: string | undefined;
  /** The event's data as it was sent. */
  readonly data: string;
  /** The part; undefined for `[DONE]`. */
  readonly chunk: UIChunk | undefined;
}

/** Makes one request for what comes after a cursor. */
export type Connect = (cursor: string | undefined, signal: AbortSignal) => Promise<Response>;

/** A response that is there already, and what ends its connection. */
export interface Connection {
  readonly response: Response;
  readonly abort: AbortController;
}

/** Reads one answer. Use it once. */
export class Follower {
  readonly #connect: Connect;
  readonly #signal: AbortSignal | undefined;
  readonly #time: Time;
  readonly #surroundings: Surroundings;
  readonly #idleMs: number;
  readonly #giveUpMs: number;
  readonly #endsAt: number;
  readonly #onState: (state: FollowState) => void;

  #cursor: string | undefined;
  #writer: Writer | undefined;
  #lives = false;
  #alive = false;
  #failures = 0;
  #retryMs: number | undefined;
  /** How long there was no sign of life. A machine that sleeps, or knows that it is offline, does not count. */
  #quietMs = 0;
  #outcome: "finished" | "failed" | "stopped" | "complete" | undefined;
  #last: UIChunk | undefined;
  // What earlier connections gave: a proxy may drop Last-Event-ID, and a route may replay from the start. The type
  // belongs to it, since a server that cannot go on says so under the reader's own cursor.
  readonly #seen = new Set<string>();

  constructor(connect: Connect, options: FollowOptions, signal: AbortSignal | undefined, cursor?: string) {
    this.#connect = connect;
    this.#signal = signal;
    this.#cursor = cursor;
    this.#time = options.time ?? systemTime;
    this.#surroundings = options.surroundings ?? page;
    this.#idleMs = options.idleMs ?? IDLE_MS;
    this.#giveUpMs = options.giveUpMs ?? GIVE_UP_MS;
    this.#endsAt = this.#time.now() + (options.deadlineMs ?? Infinity);
    this.#onState = options.onState ?? (() => {});
  }

  /**
   * Every part in order and each once, the end last.
   *
   * @param first A response that has begun already.
   * @throws {FollowError} The end cannot be reached.
   * @throws The signal's reason, once it is aborted.
   */
  async *events(first?: Connection): AsyncGenerator<Followed, void, undefined> {
    try {
      for (let connection = first; ; connection = undefined) {
        this.#lives = this.#alive = false;
        let lost: Lost | undefined;
        try {
          yield* this.#connection(connection ?? (await this.#open()));
          if (this.#outcome !== undefined) {
            this.#onState({ phase: "ended", outcome: this.#outcome, error: undefined });
            return;
          }
        } catch (error) {
          if (!(error instanceof Lost)) throw error;
          lost = error;
        }
        await this.#again(lost);
      }
    } catch (error) {
      if (error instanceof FollowError) this.#onState({ phase: "ended", outcome: "lost", error });
      throw error;
    }
  }

  async #open(): Promise<Connection> {
    const abort = new AbortController();
    try {
      const response = await this.#within(this.#connect(this.#cursor, abort.signal), "the server cannot be reached");
      return { response, abort };
    } catch (error) {
      abort.abort();
      throw error;
    }
  }

  async *#connection({ response, abort }: Connection): AsyncGenerator<Followed, void, undefined> {
    const here: string[] = [];
    const held: Followed[] = [];
    const decoder = new EventDecoder(this.#cursor);
    const openedAt = this.#time.now();
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    try {
      if (response.status === 204) {
        this.#outcome = "complete";
        return;
      }
      if (!isEventStream(response)) throw await refusal(response, this.#cursor, this.#time.now());
      reader = response.body?.getReader();
      while (reader !== undefined) {
        const { done, value } = await this.#within(reader.read(), "the connection was cut");
        if (done) return;
        const heartbeats = decoder.comments;
        const events = this.#decode(decoder, value);
        if (decoder.comments > heartbeats) this.#beats(this.#time.now() - openedAt);
        for (const event of events) {
          yield* this.#take(event, here, held);
          if (this.#outcome !== undefined) return;
        }
      }
    } finally {
      for (const key of here) this.#seen.add(key);
      this.#retryMs = decoder.retryMs ?? this.#retryMs;
      abort.abort();
      reader?.cancel().catch(() => {}); // it may be broken already
    }
  }

  #decode(decoder: EventDecoder, bytes: Uint8Array): ServerSentEvent[] {
    try {
      return decoder.feed(bytes);
    } catch (error) {
      if (error instanceof EventTooLong) throw new FollowError("refused", error.message, { cursor: this.#cursor });
      throw error;
    }
  }

  /** What an event gives the caller: itself, and what it completes; or nothing. */
  #take(event: ServerSentEvent, here: string[], held: Followed[]): Followed[] {
    if (event.event !== "message") return [];
    const chunk = event.data === "[DONE]" ? undefined : parseChunk(event.data);
    if (chunk === undefined && event.data !== "[DONE]") {
      throw new FollowError("refused", "The stream carries an event that is no chunk.", { cursor: this.#cursor });
    }
    const writer = chunk === undefined || event.ownId ? undefined : writerOf(chunk);
    if (writer !== undefined) {
      this.#writer = writer;
      this.#lives = false; // to be told anew
    }
    this.#live();
    if (writer !== undefined) return [];
    if (chunk !== undefined && !event.ownId) {
      // It belongs to the next one that has an id: a connection that is cut before that one gives both again.
      held.push({ cursor: undefined, data: event.data, chunk });
      return [];
    }
    const complete = held.splice(0);
    const key = `${event.lastId} ${chunk?.type}`;
    if (this.#seen.has(key)) return [];
    here.push(key);
    this.#cursor = event.lastId || this.#cursor;
    if (chunk === undefined) this.#outcome = outcomeOf(this.#last);
    else this.#last = chunk;
    return [...complete, { cursor: event.lastId || undefined, data: event.data, chunk }];
  }

  #beats(ageMs: number): void {
    if (ageMs >= PROVING_MS) this.#live();
    else this.#shows();
  }

  #live(): void {
    this.#alive = true;
    this.#quietMs = 0;
    this.#shows();
  }

  #shows(): void {
    if (this.#lives) return;
    this.#lives = true;
    this.#onState({ phase: "live", writer: this.#writer });
  }

  /** Wait for a promise, but not for ever, not past an abort, and not on a network that is another one now. */
  #within<T>(work: Promise<T>, broken: string): Promise<T> {
    const began = this.#time.now();
    const ms = Math.max(0, Math.min(this.#idleMs, this.#giveUpMs - this.#quietMs, this.#endsAt - began));
    return new Promise<T>((resolve, reject) => {
      const signal = this.#signal;
      const finish = (settle: () => void): void => {
        cancel();
        unwatch();
        signal?.removeEventListener("abort", aborted);
        this.#spend(Math.min(ms, this.#time.now() - began));
        settle();
      };
      const aborted = (): void => finish(() => reject(signal?.reason));
      const cancel = this.#time.after(ms, () =>
        finish(() => reject(this.#bound(0) ?? new Lost("the connection went silent"))),
      );
      const unwatch = this.#surroundings.onWake((why) => {
        // What was connected before may never hear anything again, and nobody would be told.
        if (why === "online") finish(() => reject(new Lost("the network was gone")));
      });
      signal?.addEventListener("abort", aborted);
      if (signal?.aborted) aborted();
      work.then(
        (value) => finish(() => resolve(value)),
        (error: unknown) =>
          finish(() => reject(signal?.aborted ? signal.reason : new Lost(broken, undefined, error))),
      );
    });
  }

  /** Wait before the next connection: the server's own `retry` at least, longer with each failure. */
  async #again(lost: Lost | undefined): Promise<void> {
    // A body that ended as planned but carried no sign of life is how a server says "not now".
    this.#failures = this.#alive ? 0 : this.#failures + 1;
    const growing =
      this.#failures > 0 ? Math.min(FIRST_DELAY_MS * 2 ** Math.min(this.#failures - 1, 10), LONGEST_DELAY_MS) : 0;
    let delayMs: number;
    if (lost !== undefined) delayMs = Math.max(growing, this.#retryMs ?? FIRST_DELAY_MS);
    else if (this.#retryMs === undefined) delayMs = growing;
    // The server ended its response and said when to come back; the floor is for one that says 0 for ever.
    else delayMs = Math.max(this.#retryMs, Math.min(growing, 100));
    // Jitter only upwards: none comes back before the server wants it.
    delayMs = Math.max(delayMs * (1 + JITTER * this.#time.random()), lost?.retryAfterMs ?? 0);
    const over = this.#bound(delayMs, lost);
    if (over !== undefined) throw over;
    const reason = lost?.message ?? "the server ended its response";
    this.#onState({ phase: "reconnecting", reason, failed: lost !== undefined, failures: this.#failures, delayMs });
    const began = this.#time.now();
    const woken = await pause(delayMs, this.#time, this.#surroundings, this.#signal);
    if (woken) this.#failures = 0;
    this.#spend(Math.min(delayMs, this.#time.now() - began));
  }

  #spend(ms: number): void {
    if (!this.#surroundings.isOffline()) this.#quietMs += ms;
  }

  /** The error to end with if a bound is reached within so many ms. */
  #bound(ms: number, cause?: Lost): FollowError | undefined {
    const place = { cursor: this.#cursor, cause };
    if (this.#time.now() + ms >= this.#endsAt) {
      return new FollowError("deadline", "The answer did not end within the time given.", place);
    }
    if (!this.#surroundings.isOffline() && this.#quietMs + ms >= this.#giveUpMs) {
      return new FollowError("gave_up", `The server gave no sign of life for ${this.#giveUpMs / 1000} s.`, place);
    }
    return undefined;
  }
}

/** Whether a response is an answer's stream. */
export function isEventStream(response: Response): boolean {
  const type = response.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  return response.status === 200 && type === "text/event-stream";
}

function outcomeOf(last: UIChunk | undefined): "finished" | "failed" | "stopped" | "complete" {
  switch (last?.type) {
    case "finish":
      return "finished";
    case "error":
      return "failed";
    case "abort":
      return "stopped";
    default:
      return "complete"; // it was resumed right before its end
  }
}
