/** What following tells, put into the words of the status line. */

import type { FollowState } from 'holdfast-client'
import { announce } from './announce'
import type { Phase } from './answers'

/** Reads the states of one answer after the other. */
export class Watch {
  #attempt = 0
  #state = ''

  /** Another answer begins, or the same one from its beginning. */
  reset(): void {
    this.#attempt = 0
    this.#state = ''
  }

  /** The newest attempt that was seen. */
  get attempt(): number {
    return Math.max(1, this.#attempt)
  }

  /**
   * What a state means for the reader.
   *
   * @returns the phase, or null where nothing changes.
   */
  take(state: FollowState, was: Phase): Phase | null {
    if (state.phase === 'reconnecting') {
      if (!state.failed) return null // the server's own time limit: nobody needs to know
      if (was !== 'resuming') announce('The connection was lost. The answer goes on; reconnecting.')
      return 'resuming'
    }
    if (state.phase !== 'live') return null
    const writer = state.writer
    if (writer === undefined) return was === 'sending' || was === 'resuming' ? 'queued' : null
    const replaced = this.#attempt > 0 && writer.attempt > this.#attempt && this.#state !== 'handoff'
    this.#attempt = writer.attempt
    this.#state = writer.state
    if (was === 'stopping') return null
    if (writer.state !== 'live') return writer.state
    return replaced || was === 'taken-over' ? 'taken-over' : 'live'
  }
}
