/** What an answer is made of, as far as a follower has to know it. */

/** One AI SDK UI message chunk, such as `{ "type": "text-delta", "id": "t", "delta": "Hel" }`. */
export interface UIChunk {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Who writes the answer at the moment, as the server tells readers who ask (rule D7 of the protocol). */
export interface Writer {
  /** `handoff`: the next attempt is on its way. `stalled`: nobody writes, and somebody has been asked to. */
  readonly state: "queued" | "live" | "handoff" | "stalled";
  /** The newest attempt, from 1; 0 before the first. A number that rises means that the answer was taken over. */
  readonly attempt: number;
}

const WRITERS = new Set(["queued", "live", "handoff", "stalled"]);

/** The visible text that a chunk adds; empty for chunks that add none. */
export function textOf(chunk: UIChunk): string {
  return chunk.type === "text-delta" && typeof chunk["delta"] === "string" ? chunk["delta"] : "";
}

/** What a chunk without an id of its own says about the writer, if that is what it is about. */
export function writerOf(chunk: UIChunk): Writer | undefined {
  if (chunk.type !== "data-holdfast" || chunk["transient"] !== true) return undefined;
  const data = chunk["data"];
  if (typeof data !== "object" || data === null || !("state" in data) || !("attempt" in data)) return undefined;
  if (typeof data.state !== "string" || !WRITERS.has(data.state) || typeof data.attempt !== "number") return undefined;
  return { state: data.state as Writer["state"], attempt: data.attempt };
}

/** Read the data of an event; undefined if it is no chunk. */
export function parseChunk(data: string): UIChunk | undefined {
  try {
    const value: unknown = JSON.parse(data);
    const isChunk = typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
    return isChunk ? (value as UIChunk) : undefined;
  } catch {
    return undefined;
  }
}
