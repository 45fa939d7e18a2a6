/** What failed about an answer, and so what trying again means. */

import type { UIMessage } from 'ai'
import { FollowError } from 'holdfast-client'
import type { Outcome } from './answers'
import { asProblem, Problem } from './api'

/**
 * - `reading`: what the server has could not be read. It is read again; no answer is touched.
 * - `asking`: a request for an answer was refused or did not arrive. The same one is made again.
 * - `answer`: there is no whole answer to the question. Another one is asked for, if the server says so too.
 */
export interface Failure {
  failed: 'reading' | 'asking' | 'answer'
  problem: Problem
}

const STOPPED = new Problem(0, 'stopped', 'Nothing had been written yet.')
const UNANSWERED = new Problem(0, 'unanswered', 'It was asked, and no answer to it was kept.')

/** It was stopped before there was anything to see of it. */
export const STOPPED_EMPTY: Failure = { failed: 'answer', problem: STOPPED }
/** The question was held back before it had left. */
export const STOPPED_UNSENT: Failure = { failed: 'asking', problem: STOPPED }
/** Its stream is named, and is not there to be read. */
export const OUT_OF_REACH: Failure = {
  failed: 'reading',
  problem: new Problem(0, 'out_of_reach', 'It is being written, and could not be picked up. Try again.'),
}

/** @param asking whether a request for an answer was on its way, and nothing had come of it. */
export function failureOf(error: unknown, asking: boolean): Failure {
  const problem = asProblem(error)
  if (asking) return { failed: 'asking', problem }
  const unread = error instanceof Problem || error instanceof FollowError || error instanceof TypeError
  return { failed: unread ? 'reading' : 'answer', problem }
}

/**
 * What is wrong with a turn that nobody is writing to.
 *
 * @param last the newest message. @param outcome how its answer ended, if that is known.
 */
export function failureIn(last: UIMessage, outcome: Outcome | null): Failure | null {
  if (outcome?.error) return { failed: 'answer', problem: new Problem(0, outcome.error.code, outcome.error.message) }
  if (last.role !== 'user') return null
  return outcome?.state === 'stopped' ? STOPPED_EMPTY : { failed: 'answer', problem: UNANSWERED }
}
