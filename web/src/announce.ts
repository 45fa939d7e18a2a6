/** What a screen reader is told: one polite sentence at a time, and never token by token. */

import { useSyncExternalStore } from 'react'

let said = ''
const listeners = new Set<() => void>()

/** Say a sentence once the screen reader has finished its own. */
export function announce(text: string): void {
  // The same words again are news as well: a space that nobody hears makes them another text.
  said = text === said ? `${text}\u00a0` : text
  for (const listener of listeners) listener()
}

export function useAnnounced(): string {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => said,
  )
}
