/** The tabs of one browser tell each other what changed, so that none of them has to ask the server. */

export interface News {
  kind: 'started' | 'ended' | 'deleted' | 'joined'
  chat: string | null
}

const channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('holdfast') : null
const here = new Set<(news: News, own: boolean) => void>()

/** Tell the other tabs, and the listeners in this one. */
export function tell(news: News): void {
  channel?.postMessage(news)
  for (const listener of here) listener(news, true)
}

/**
 * @param listener is told the news, and whether they are this tab's own.
 * @returns what ends the listening.
 */
export function hear(listener: (news: News, own: boolean) => void): () => void {
  const receive = (event: MessageEvent<News>) => listener(event.data, false)
  here.add(listener)
  channel?.addEventListener('message', receive)
  return () => {
    here.delete(listener)
    channel?.removeEventListener('message', receive)
  }
}
