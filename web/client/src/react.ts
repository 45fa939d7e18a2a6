/** A React hook for pages without the AI SDK: one answer, which survives a reload of the page. */

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

import { AnswerStore, isLive, type AnswerOptions, type AnswerView } from "./answer.js";
import { pageMemory } from "./memory.js";

export type { AnswerOptions, AnswerStatus, AnswerView } from "./answer.js";

/** Options of `useHoldfast`. They are read once, when the component is first shown. */
export interface UseHoldfastOptions extends AnswerOptions {
  /** The parameter of the page's URL, and the key in `localStorage`, that hold the stream's id. `stream`. */
  name?: string | undefined;
}

/** What `useHoldfast` gives. */
export interface UseHoldfast extends AnswerView {
  /** Whether the answer has not come to its end. */
  readonly isLive: boolean;
  /** Ask for an answer. */
  readonly send: (prompt: string, extra?: Readonly<Record<string, unknown>>) => Promise<void>;
  /** Ask the same again. */
  readonly regenerate: () => Promise<void>;
  /** Stop the model; what it said stays. */
  readonly stop: () => Promise<void>;
  /** Forget the answer. */
  readonly clear: () => void;
}

/**
 * Ask for an answer and show it while it is written. The stream's id stands in the URL and in `localStorage`: after a
 * reload, or on another day, the answer is there again and goes on.
 */
export function useHoldfast(options: UseHoldfastOptions = {}): UseHoldfast {
  const [store] = useState(() => new AnswerStore({ memory: pageMemory(options.name), ...options }));
  const subscribe = useCallback((listener: () => void) => store.subscribe(listener), [store]);
  const view = useSyncExternalStore(
    subscribe,
    () => store.view,
    () => store.view,
  );
  useEffect(() => {
    store.resume();
    return () => store.leave();
  }, [store]);
  const send = useCallback((prompt: string, extra?: Readonly<Record<string, unknown>>) => store.send(prompt, extra), [store]);
  const regenerate = useCallback(() => store.regenerate(), [store]);
  const stop = useCallback(() => store.stop(), [store]);
  const clear = useCallback(() => store.clear(), [store]);
  return { ...view, isLive: isLive(view.status), send, regenerate, stop, clear };
}
