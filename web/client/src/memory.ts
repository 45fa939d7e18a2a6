/** Where a page remembers its answer: in its URL, for links and the back button, and in `localStorage`. */

import type { Memory, Remembered } from "./answer.js";

/**
 * Remember an answer in the page.
 *
 * The URL says which answer is shown; it wins over the storage, which has the question as well. A page that may use
 * no storage (some private modes refuse it) has the URL alone.
 *
 * @param name The parameter of the URL's query, and the key in `localStorage`.
 */
export function pageMemory(name = "stream"): Memory {
  const key = `holdfast:${name}`;
  return {
    load() {
      const stored = parse(quietly(() => localStorage.getItem(key)));
      const named = new URL(location.href).searchParams.get(name);
      if (named === null || named === "") return stored;
      return stored?.id === named ? stored : { id: named };
    },
    save(remembered) {
      const url = new URL(location.href);
      if (remembered === undefined) url.searchParams.delete(name);
      else url.searchParams.set(name, remembered.id);
      history.replaceState(history.state, "", url);
      quietly(() => {
        if (remembered === undefined) localStorage.removeItem(key);
        else localStorage.setItem(key, JSON.stringify(remembered));
      });
    },
  };
}

function quietly<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch {
    return undefined; // no storage, or none that has room
  }
}

function parse(stored: string | null | undefined): Remembered | undefined {
  const value: unknown = stored == null ? undefined : quietly(() => JSON.parse(stored));
  if (typeof value !== "object" || value === null || !("id" in value) || typeof value.id !== "string") return undefined;
  const body = "body" in value && typeof value.body === "object" && value.body !== null ? value.body : undefined;
  return { id: value.id, body: body as Remembered["body"] };
}
