/**
 * An exact decoder of server-sent events, without I/O: bytes split anywhere go in, events come out.
 *
 * It follows "Interpreting an event stream" of the HTML standard, section 9.2.6:
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */

/** One dispatched event. */
export interface ServerSentEvent {
  /** The `data` lines, joined by newlines. */
  readonly data: string;
  /** The event's name; `message` unless the server gave one. */
  readonly event: string;
  /** The last event id seen up to and including this event; empty if there was none. */
  readonly lastId: string;
  /** Whether this event itself carried an `id` line. */
  readonly ownId: boolean;
}

/** An event is larger than a decoder may hold. */
export class EventTooLong extends Error {
  override readonly name = "EventTooLong";
}

/** Characters that one event may hold; the server cuts its events far below. */
const MOST_CHARACTERS = 16_000_000;
/** Digits of a `retry` that count: nobody waits longer than some days, and more could lose precision. */
const MOST_DIGITS = 9;

/** The decoder of one response body. */
export class EventDecoder {
  /** How many comment lines (heartbeats) were read. */
  comments = 0;
  /** The newest `retry` of the server in milliseconds, if there was one. */
  retryMs: number | undefined;

  // A byte order mark at the beginning is dropped, and what is no UTF-8 replaced, as the standard has it.
  readonly #utf8 = new TextDecoder();
  readonly #most: number;
  #rest = "";
  #endedInReturn = false;
  #data: string[] = [];
  #held = 0;
  #event = "";
  #id: string;
  #ownId = false;

  /**
   * @param lastId The id that the body resumes from.
   * @param most Characters that one event may hold.
   */
  constructor(lastId = "", most = MOST_CHARACTERS) {
    this.#id = lastId;
    this.#most = most;
  }

  /**
   * Take the next bytes of the body.
   *
   * @param bytes Any number of them; a line, a character or a CR LF pair may be split between two calls.
   * @returns The events that they complete. What the body's end leaves incomplete is never returned, as the standard
   *   demands.
   * @throws {EventTooLong} One event holds too much.
   */
  feed(bytes: Uint8Array): ServerSentEvent[] {
    let text = this.#utf8.decode(bytes, { stream: true });
    if (text === "") return []; // nothing is known yet about what follows a CR
    if (this.#endedInReturn && text.startsWith("\n")) text = text.slice(1);
    this.#endedInReturn = false;

    const events: ServerSentEvent[] = [];
    const endOfLine = /\r\n?|\n/g;
    // What was left over holds no end of line: look only at what is new.
    endOfLine.lastIndex = this.#rest.length;
    const whole = this.#rest + text;
    let start = 0;
    for (let found = endOfLine.exec(whole); found !== null; found = endOfLine.exec(whole)) {
      const event = this.#line(whole.slice(start, found.index));
      if (event !== undefined) events.push(event);
      start = endOfLine.lastIndex;
      // The line has ended; if the next bytes begin with LF, that belongs to it.
      this.#endedInReturn = found[0] === "\r" && start === whole.length;
    }
    this.#rest = whole.slice(start);
    this.#bound(this.#rest.length);
    return events;
  }

  #line(line: string): ServerSentEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) {
      this.comments += 1;
      return undefined;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    switch (name) {
      case "data":
        this.#bound(value.length);
        this.#held += value.length;
        this.#data.push(value);
        break;
      case "id":
        if (!value.includes("\0")) {
          this.#id = value;
          this.#ownId = true;
        }
        break;
      case "event":
        this.#event = value;
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) this.retryMs = Number(value.slice(0, MOST_DIGITS));
        break;
      default: // the standard: any other field is ignored
    }
    return undefined;
  }

  #dispatch(): ServerSentEvent | undefined {
    const event = {
      data: this.#data.join("\n"),
      event: this.#event || "message",
      lastId: this.#id,
      ownId: this.#ownId,
    };
    const dispatched = this.#data.length > 0;
    this.#data = [];
    this.#held = 0;
    this.#event = "";
    this.#ownId = false;
    return dispatched ? event : undefined;
  }

  #bound(more: number): void {
    if (this.#held + more > this.#most) throw new EventTooLong(`An event is longer than ${this.#most} characters.`);
  }
}
