/** What went wrong, in plain words, with what can be done about it. */

import type { Problem } from './api'
import { Icon } from './icons'

const HEADS: Record<string, string> = {
  unreachable: 'No connection to the server',
  store_unavailable: 'The service is not reachable right now',
  not_started: 'The question could not be taken in',
  chat_busy: 'Another answer of this conversation is being written',
  stream_expired: 'This answer is no longer kept',
  unanswered: 'This question has no answer',
  stopped: 'Stopped',
  out_of_reach: 'The answer goes on, and cannot be read right now',
  chat_unknown: 'There is no such conversation',
  chat_deleted: 'This conversation was deleted',
  conversation_too_large: 'The conversation is too long',
  prompt_too_large: 'The question is too long',
  body_too_large: 'The question is too long',
  field_invalid: 'The question cannot be taken in as it is',
  origin_refused: 'The server does not take questions from this page',
  follow_gave_up: 'The connection was lost; the answer goes on',
  follow_deadline: 'The connection was lost; the answer goes on',
  follow_forbidden: 'The answer goes on, and the server does not show it here',
  follow_refused: 'The answer goes on, and cannot be read right now',
  follow_not_found: 'This answer is not there any more, or it is not yours',
  follow_expired: 'This answer is no longer kept',
}

/** Refusals that may not be repeated in a while: the others would be the same again. */
const PASSING = new Set([408, 409, 429])

/** The heading for a problem: by its code, else by what its status means. */
export function headOf(problem: Problem): string {
  const known = HEADS[problem.code]
  if (known !== undefined) return known
  if (problem.code.startsWith('limit_') || problem.status === 429) return 'Too much at once'
  if (problem.status === 401) return 'Sign in to go on'
  if (problem.status === 403) return 'The server does not allow this'
  if (problem.status === 413) return 'That is too much for one request'
  if (problem.status === 422) return 'The server cannot take this in as it is'
  if (problem.status === 503) return 'The service is not reachable right now'
  if (problem.status === 404) return 'There is no such thing, or it is not yours'
  if (problem.status >= 500) return 'Something went wrong on the server'
  return 'The answer failed'
}

/** Whether trying again can help. A lost answer is asked for by another route than the one that refused it. */
function mayPass({ code, status }: Problem): boolean {
  return status < 400 || status >= 500 || PASSING.has(status) || code.startsWith('follow_')
}

export function Trouble({ problem, onRetry }: { problem: Problem; onRetry?: (() => void) | undefined }) {
  return (
    // A stop is what somebody wanted, and was announced as such.
    <div className="trouble" role={problem.code === 'stopped' ? undefined : 'alert'} data-code={problem.code}>
      <p className="head">{headOf(problem)}</p>
      <p>{problem.message}</p>
      {problem.retryAfter === null ? null : <p>It may work again in {Math.ceil(problem.retryAfter)} s.</p>}
      {onRetry === undefined || !mayPass(problem) ? null : (
        <button type="button" className="button" onClick={onRetry}>
          <Icon name="again" />
          Try again
        </button>
      )}
    </div>
  )
}
