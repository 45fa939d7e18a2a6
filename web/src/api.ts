/** The HTTP contract (docs/protocol.md, chapter W) as the page uses it. */

import type { UIMessage } from 'ai'
import { FollowError } from 'holdfast-client'

/** A refusal or an outage, with the server's own code and message. */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly retryAfter: number | null

  /**
   * @param status the HTTP status, or 0 where there was no response.
   * @param code the error's code.
   * @param message what to do, in the server's words.
   * @param retryAfter seconds to wait before trying again, if the server said so.
   */
  constructor(status: number, code: string, message: string, retryAfter: number | null = null) {
    super(message)
    this.name = 'Problem'
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

export interface ChatEntry {
  id: string
  title: string
  updated_at: number
  stream: string | null
}

export interface ChatList {
  chats: ChatEntry[]
  more: boolean
}

export interface Conversation {
  id: string
  messages: UIMessage[]
  stream: string | null
}

/** What the status route tells; times in epoch milliseconds, durations in milliseconds. */
export interface Status {
  id: string
  state: 'queued' | 'live' | 'stalled' | 'finished' | 'failed' | 'stopped'
  attempts: number
  handoffs: number
  takeovers: number
  rescues: number
  exact: boolean
  parts: number
  characters: number
  createdAt: number
  firstVisibleAt: number | null
  endedAt: number | null
  error?: { code: string; message: string }
}

export interface Share {
  token: string
  expires_at: string
}

export interface DeviceLink {
  code: string
  expires_at: string
}

/** The problem that a response which is not ok tells of. */
export async function problemOf(response: Response): Promise<Problem> {
  const after = Number(response.headers.get('retry-after'))
  const seconds = Number.isFinite(after) && after > 0 ? after : null
  try {
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    return new Problem(response.status, String(error.code), String(error.message), seconds)
  } catch {
    return new Problem(response.status, 'http_error', `The server answered with ${response.status}.`, seconds)
  }
}

/** Any failure as a problem that can be shown. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof FollowError) return new Problem(error.status ?? 0, `follow_${error.code}`, error.message)
  if (error instanceof TypeError) {
    return new Problem(0, 'unreachable', 'The server could not be reached. Check the connection and try again.')
  }
  const said = error instanceof Error ? error.message : ''
  return new Problem(0, 'answer_failed', said || 'The answer failed. Try again.')
}

interface Sent {
  /** Sent as JSON. */
  body?: unknown
  /** A read token. In a header: an address with it would stand in logs. */
  token?: string | undefined
}

async function ask(method: string, path: string, { body, token }: Sent = {}): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
  } catch {
    throw new Problem(0, 'unreachable', 'The server could not be reached. Check the connection and try again.')
  }
  if (!response.ok) throw await problemOf(response)
  return response
}

const chatPath = (id: string) => `/api/chat/${encodeURIComponent(id)}`
const streamPath = (id: string) => `/api/streams/${encodeURIComponent(id)}`

/** The newest conversations of whoever asks, or those before a time. */
export async function listChats(before?: number): Promise<ChatList> {
  return (await ask('GET', `/api/chats?limit=50${before === undefined ? '' : `&before=${before}`}`)).json()
}

/** A conversation, or null where there is none of this id (yet). */
export async function readChat(id: string): Promise<Conversation | null> {
  try {
    return await (await ask('GET', chatPath(id))).json()
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null
    throw error
  }
}

export async function deleteChat(id: string): Promise<void> {
  await ask('DELETE', chatPath(id))
}

export async function stopStream(id: string): Promise<void> {
  await ask('POST', `${streamPath(id)}/stop`)
}

/** @param token a read token, for an answer that was shared. */
export async function readStatus(id: string, token?: string): Promise<Status> {
  return (await ask('GET', `${streamPath(id)}/status`, { token })).json()
}

export async function shareStream(id: string): Promise<Share> {
  return (await ask('POST', `${streamPath(id)}/share`)).json()
}

export async function unshareStream(id: string): Promise<void> {
  await ask('DELETE', `${streamPath(id)}/share`)
}

/** A one-time code that makes another device the same user. */
export async function linkDevice(): Promise<DeviceLink> {
  await ask('POST', '/api/session')
  return (await ask('POST', '/api/session/link')).json()
}

export async function claimDevice(code: string): Promise<void> {
  await ask('POST', '/api/session/claim', { body: { code } })
}
