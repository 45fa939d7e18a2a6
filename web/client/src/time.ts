/** Time and chance as a port, and the waits that are built on it: tests bring their own. */

/** What waits are made of. */
export interface Time {
  /** Epoch milliseconds. */
  now(): number;
  /** Call back after so many milliseconds, unless the returned function is called before. */
  after(ms: number, callback: () => void): () => void;
  /** A number from 0 up to 1. */
  random(): number;
}

/** The time of this machine. */
export const systemTime: Time = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/** What a page tells of the network and of itself; a server has neither. */
export interface Surroundings {
  /** Whether the machine knows that it has no network. */
  isOffline(): boolean;
  /** Call back when the network is back (`online`), or the page is looked at again (`visible`). */
  onWake(callback: (why: "online" | "visible") => void): () => void;
}

/** The page, where there is one. */
export const page: Surroundings = {
  isOffline: () => globalThis.navigator?.onLine === false,
  onWake(callback) {
    const online = (): void => callback("online");
    const visible = (): void => {
      if (globalThis.document.visibilityState === "visible") callback("visible");
    };
    // React Native has a window that takes no listeners.
    globalThis.window?.addEventListener?.("online", online);
    globalThis.document?.addEventListener?.("visibilitychange", visible);
    return () => {
      globalThis.window?.removeEventListener?.("online", online);
      globalThis.document?.removeEventListener?.("visibilitychange", visible);
    };
  },
};

/**
 * Wait, no longer than until the network is back or the page is looked at: a browser slows the timers of a page in
 * the background, and nobody wants to wait out a pause that began without a network.
 *
 * @returns Whether something woke it before its time.
 * @throws The signal's reason, once it is aborted.
 */
export function pause(ms: number, time: Time, surroundings: Surroundings, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const finish = (settle: () => void): void => {
      cancel();
      unwatch();
      signal?.removeEventListener("abort", abort);
      settle();
    };
    const abort = (): void => finish(() => reject(signal?.reason));
    const cancel = time.after(ms, () => finish(() => resolve(false)));
    const unwatch = surroundings.onWake(() => finish(() => resolve(true)));
    signal?.addEventListener("abort", abort);
  });
}
