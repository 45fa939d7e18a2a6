/** How `useChat` reaches the functions: the newest message alone goes out, and cuts are followed across. */

import { DefaultChatTransport, type UIMessage } from 'ai'
import { type FollowFetchOptions, followFetch } from 'holdfast-client'
import { problemOf } from './api'

/** A `fetch` that follows an answer to its end, and whose refusals are problems in the server's words. */
function following(options: FollowFetchOptions): typeof globalThis.fetch {
  const follow = followFetch(options)
  return async (input, init) => {
    const response = await follow(input, init)
    if (!response.ok) throw await problemOf(response)
    return response
  }
}

/** For one's own conversations. */
export function chatTransport(options: FollowFetchOptions): DefaultChatTransport<UIMessage> {
  return new DefaultChatTransport<UIMessage>({
    fetch: following(options),
    // The server's history is the truth (chapter H): sending it back would only cost bytes.
    prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
      body: { id, messages: messages.slice(-1), trigger, ...(messageId === undefined ? {} : { messageId }) },
    }),
  })
}

/** For one answer that somebody shared. */
export function sharedTransport(stream: string, token: string, options: FollowFetchOptions): DefaultChatTransport<UIMessage> {
  const url = `/api/streams/${encodeURIComponent(stream)}`
  return new DefaultChatTransport<UIMessage>({
    fetch: following({ ...options, streamUrl: () => url }),
    prepareReconnectToStreamRequest: () => ({
      api: url,
      // In a header: an address with the token in it would stand in logs.
      headers: { authorization: `Bearer ${token}` },
    }),
  })
}
