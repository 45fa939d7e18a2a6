/** One answer at a time with all that a page keeps about it: what the React hook shows, without React. */

import { textOf, type UIChunk, type Writer } from "./chunks.js";
import { FollowError, said } from "./errors.js";
import { given, type FollowOptions, type FollowState } from "./options.js";
import { randomKey, sendStart } from "./start.js";
import { absolute, followStream, stopStream } from "./stream.js";

/** How an answer stands. `idle`: there is none. `starting`: it was asked for. The last three are ends. */
export type AnswerStatus = "idle" | "starting" | "live" | "reconnecting" | "finished" | "stopped" | "failed";

/** Everything that there is to show. A new object at every change. */
export interface AnswerView {
  readonly status: AnswerStatus;
  /** The stream that answers, once there is one. */
  readonly id: string | undefined;
  /** The visible text so far. */
  readonly text: string;
  /** The model's reasoning so far. */
  readonly reasoning: string;
  /** Who writes, while somebody does. */
  readonly writer: Writer | undefined;
  /** What went wrong, where the status is `failed`. */
  readonly error: Error | undefined;
}

/** Where an answer is remembered: one key of a storage, and one parameter of the page's URL. */
export interface Memory {
  /** What is remembered, if anything. */
  load(): Remembered | undefined;
  /** Remember something else, or nothing. */
  save(remembered: Remembered | undefined): void;
}

/** What a page that is loaded anew needs. */
export interface Remembered {
  /** The stream. */
  readonly id: string;
  /** The body of its start, for `regenerate`; a link from elsewhere has none. */
  readonly body?: Readonly<Record<string, unknown>> | undefined;
}

/** Options of an answer. */
export interface AnswerOptions extends Omit<FollowOptions, "onState"> {
  /** The route that starts answers. `/api/streams`. */
  api?: string | undefined;
  /** Where it is remembered; nowhere by default. */
  memory?: Memory | undefined;
  /** Told of every chunk, for tools, sources and data. */
  onChunk?: ((chunk: UIChunk) => void) | undefined;
}

const NOTHING: AnswerView = {
  status: "idle",
  id: undefined,
  text: "",
  reasoning: "",
  writer: undefined,
  error: undefined,
};

/** One answer at a time: asked for, followed, stopped, asked for again, forgotten. */
export class AnswerStore {
  readonly #options: AnswerOptions;
  readonly #listeners = new Set<() => void>();
  #view = NOTHING;
  #body: Readonly<Record<string, unknown>> | undefined;
  #following: AbortController | undefined;
  #unwanted: AbortController | undefined;

  constructor(options: AnswerOptions = {}) {
    this.#options = options;
  }

  /** What there is to show. */
  get view(): AnswerView {
    return this.#view;
  }

  /** Be called after every change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Follow the answer that is remembered, from its beginning, if there is one and none is followed yet. */
  resume(): void {
    const remembered = this.#options.memory?.load();
    if (remembered === undefined || this.#following !== undefined) return;
    this.#body = remembered.body;
    void this.#follow(this.#begin({ status: "live", id: remembered.id }), remembered.id);
  }

  /**
   * Ask for an answer; one that is followed at the moment is left, and goes on without this reader.
   *
   * @param prompt The question.
   * @param extra Further fields of the start's body, such as `chat_id` or `model`.
   */
  async send(prompt: string, extra: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.#start({ ...extra, prompt });
  }

  /** Ask the same again; the answer at hand is stopped first. */
  async regenerate(): Promise<void> {
    const body = this.#body;
    if (body === undefined) throw new Error("There is no question to ask again: send one first.");
    if (isLive(this.#view.status)) await this.stop();
    await this.#start(body);
  }

  /** Stop the model. What it said stays, and the end arrives as for every other reader. */
  async stop(): Promise<void> {
    if (this.#view.id !== undefined) await stopStream(this.#urlOf(this.#view.id), this.#options);
    else this.#unwanted = this.#following; // its start is on its way: it is stopped as soon as it has a name
  }

  /** Forget the answer. It goes on to its end, wherever else it is read. */
  clear(): void {
    this.#leave();
    this.#body = undefined;
    this.#options.memory?.save(undefined);
    this.#view = NOTHING;
    this.#tell();
  }

  /** Leave the answer without forgetting it: the page goes away, and `resume` comes back to it. */
  leave(): void {
    this.#leave();
  }

  async #start(body: Readonly<Record<string, unknown>>): Promise<void> {
    const following = this.#begin({ status: "starting" });
    const { signal } = following;
    this.#body = body;
    try {
      const headers = await given(this.#options);
      headers.set("content-type", "application/json");
      headers.set("idempotency-key", randomKey());
      const credentials = this.#options.credentials ?? "same-origin";
      const init = { method: "POST", headers, credentials, signal, body: JSON.stringify(body) };
      const response = await sendStart(this.#api, init, this.#options);
      if (!response.ok) {
        const message = (await said(response)) || `The server did not take the question (${response.status}).`;
        throw new FollowError("refused", message, { status: response.status });
      }
      const { id } = (await response.json()) as { id: string };
      if (signal.aborted) return;
      this.#options.memory?.save({ id, body });
      this.#set({ status: "live", id });
      if (this.#unwanted === following) await stopStream(this.#urlOf(id), this.#options);
      await this.#follow(following, id);
    } catch (error) {
      if (!signal.aborted) this.#set({ status: "failed", error: asError(error) });
    }
  }

  async #follow({ signal }: { signal: AbortSignal }, id: string): Promise<void> {
    const onState = (state: FollowState): void => {
      if (!signal.aborted) this.#note(state);
    };
    try {
      for await (const chunk of followStream(this.#urlOf(id), { ...this.#options, signal, onState })) {
        if (signal.aborted) return;
        this.#take(chunk);
      }
    } catch (error) {
      if (signal.aborted) return;
      const gone = error instanceof FollowError && (error.code === "not_found" || error.code === "expired");
      if (gone) this.#options.memory?.save(undefined); // nobody should ask for it again
      this.#set({ status: "failed", writer: undefined, error: asError(error) });
    }
  }

  #take(chunk: UIChunk): void {
    const { text, reasoning } = this.#view;
    if (chunk.type === "text-delta") this.#set({ text: text + textOf(chunk) });
    else if (chunk.type === "reasoning-delta") this.#set({ reasoning: reasoning + String(chunk["delta"] ?? "") });
    else if (chunk.type === "error") this.#set({ error: new Error(String(chunk["errorText"] ?? "The answer failed.")) });
    this.#options.onChunk?.(chunk);
  }

  #note(state: FollowState): void {
    if (state.phase === "live") this.#set({ status: "live", writer: state.writer });
    else if (state.phase === "reconnecting") this.#set({ status: "reconnecting" });
    else if (state.phase === "ended" && state.outcome !== "lost") {
      this.#set({ status: state.outcome === "complete" ? "finished" : state.outcome, writer: undefined });
    }
  }

  #begin(change: Partial<AnswerView>): AbortController {
    this.#leave();
    this.#following = new AbortController();
    this.#view = { ...NOTHING, ...change };
    this.#tell();
    return this.#following;
  }

  #leave(): void {
    this.#following?.abort();
    this.#following = undefined;
  }

  #set(change: Partial<AnswerView>): void {
    this.#view = { ...this.#view, ...change };
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  get #api(): string {
    return absolute(this.#options.api ?? "/api/streams");
  }

  #urlOf(id: string): string {
    return `${this.#api}/${encodeURIComponent(id)}`;
  }
}

/** Whether an answer has not come to its end. */
export function isLive(status: AnswerStatus): boolean {
  return status === "starting" || status === "live" || status === "reconnecting";
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
