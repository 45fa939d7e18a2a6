/** An answer as the page knows it beside its text: which stream writes it, what happens to it, how it ended. */

import type { UIMessage } from 'ai'
import type { Status } from './api'

/** What the reader is told quietly while an answer is under way. */
export type Phase = 'idle' | 'sending' | 'queued' | 'live' | 'handoff' | 'taken-over' | 'stalled' | 'resuming' | 'stopping'

/** What an answer's end tells (docs/protocol.md, rule F4), or the status route of it. */
export interface Outcome {
  state: 'finished' | 'failed' | 'stopped' | 'live'
  attempts: number
  handoffs: number
  takeovers: number
  rescues: number
  exact: boolean
  characters: number
  parts: number
  durationMs: number | null
  firstMs: number | null
  error: { code: string; message: string } | null
}

const PREFIX = 'msg_'

/** The stream that writes a message: answers are named after it. */
export function streamOf(message: UIMessage | undefined): string | null {
  return message?.role === 'assistant' && message.id.startsWith(PREFIX) ? message.id.slice(PREFIX.length) : null
}

const count = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : 0)
const time = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : null)

/** What the end of an answer left in its message, or null where it was stopped, failed or is not there yet. */
export function outcomeIn(message: UIMessage): Outcome | null {
  const told = message.metadata as Record<string, unknown> | undefined
  if (!told || !('attempts' in told)) return null
  return {
    state: 'finished',
    attempts: count(told.attempts),
    handoffs: count(told.handoffs),
    takeovers: count(told.takeovers),
    rescues: count(told.rescues),
    exact: told.exact !== false,
    characters: count(told.characters),
    parts: count(told.parts),
    durationMs: time(told.durationMs),
    firstMs: time(told.timeToFirstTokenMs),
    error: null,
  }
}

/** The same of a status. */
export function outcomeOf(status: Status): Outcome {
  const ended = status.state === 'finished' || status.state === 'failed' || status.state === 'stopped'
  return {
    ...status,
    state: ended ? (status.state as Outcome['state']) : 'live',
    durationMs: status.endedAt === null ? null : status.endedAt - status.createdAt,
    firstMs: status.firstVisibleAt === null ? null : status.firstVisibleAt - status.createdAt,
    error: status.error ?? null,
  }
}

/** An answer's visible text, as the model wrote it. */
export function textOf(message: UIMessage): string {
  return message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('')
}

/** Whether a part of an answer is anything that a person sees. */
export function isSeen(part: UIMessage['parts'][number]): boolean {
  if (part.type === 'text' || part.type === 'reasoning') return part.text !== ''
  return part.type !== 'step-start' && !part.type.startsWith('data-')
}

/** Characters of an answer up to which a screen reader is given the whole of it at its end. */
const READ_OUT = 600

/** What is said at the end of an answer. */
export function endingOf(message: UIMessage): string {
  const text = textOf(message)
  if (text.length <= READ_OUT) return `The answer is complete. ${text}`
  return `The answer is complete: ${text.split(/\s+/).length} words.`
}
