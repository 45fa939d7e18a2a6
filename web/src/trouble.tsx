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
  chat_unknown: 'There is no such conversation',
}

/** The heading for a problem: by its code, else by what its status means. */
export function headOf(problem: Problem): string {
  const known = HEADS[problem.code]
  if (known !== undefined) return known
  if (problem.code.startsWith('limit_') || problem.status === 429) return 'Too much at once'
  if (problem.status === 503) return 'The service is not reachable right now'
  if (problem.status === 404) return 'There is no such thing, or it is not yours'
  if (problem.status >= 500) return 'Something went wrong on the server'
  return 'The answer failed'
}

export function Trouble({ problem, onRetry }: { problem: Problem; onRetry?: (() => void) | undefined }) {
  return (
    <div className="trouble" role="alert">
      <p className="head">{headOf(problem)}</p>
      <p>{problem.message}</p>
      {problem.retryAfter === null ? null : <p>It may work again in {Math.ceil(problem.retryAfter)} s.</p>}
      {onRetry === undefined ? null : (
        <button type="button" className="button" onClick={onRetry}>
          <Icon name="again" />
          Try again
        </button>
      )}
    </div>
  )
}
