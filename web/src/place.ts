/** Where the page is: the open conversation in the query, what must reach no server in the fragment. */

import { useSyncExternalStore } from 'react'

export type Place =
  | { at: 'chat'; chat: string | null }
  | { at: 'share'; stream: string; token: string }
  | { at: 'link'; code: string }

const listeners = new Set<() => void>()

/** Read an address. A fragment that is malformed is as good as none. */
export function placeOf(search: string, hash: string): Place {
  const fragment = hash.replace(/^#/, '')
  if (fragment.startsWith('share=')) {
    const rest = fragment.slice('share='.length)
    const dot = rest.indexOf('.')
    if (dot > 0) return { at: 'share', stream: rest.slice(0, dot), token: rest.slice(dot + 1) }
  }
  if (fragment.startsWith('link=')) return { at: 'link', code: fragment.slice('link='.length) }
  return { at: 'chat', chat: new URLSearchParams(search).get('chat') || null }
}

let held = { key: '', place: placeOf('', '') }

function current(): Place {
  const key = `${location.search}${location.hash}`
  // The same object for the same address, as React wants it of a store.
  if (held.key !== key) held = { key, place: placeOf(location.search, location.hash) }
  return held.place
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  window.addEventListener('popstate', listener)
  window.addEventListener('hashchange', listener)
  return () => {
    listeners.delete(listener)
    window.removeEventListener('popstate', listener)
    window.removeEventListener('hashchange', listener)
  }
}

export const addressOf = (chat: string | null) => (chat === null ? '/' : `/?chat=${encodeURIComponent(chat)}`)

/**
 * Open a conversation, or a new one.
 *
 * @param replace whether the present entry of the browser's history gives way.
 */
export function go(chat: string | null, { replace = false } = {}): void {
  history[replace ? 'replaceState' : 'pushState'](null, '', addressOf(chat))
  for (const listener of listeners) listener()
}

export function usePlace(): Place {
  return useSyncExternalStore(subscribe, current)
}

/** An id that nobody guesses, also where the page is not served over https. */
export function newChatId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
