/** The line above the composer: what happens to the answer, said quietly and only while something does. */

import type { Phase } from './answers'

const WORDS: Record<Exclude<Phase, 'idle' | 'taken-over'>, string> = {
  sending: 'Sending',
  queued: 'Waiting for the first words',
  live: 'Writing',
  handoff: 'Time limit reached. The next attempt goes on with it',
  stalled: 'The writer is gone. Somebody else is being called',
  resuming: 'Picking the answer up where it is',
  stopping: 'Stopping',
}

/** @param online whether the browser has a network. */
export function StatusLine({ phase, attempt, online }: { phase: Phase; attempt: number; online: boolean }) {
  let text = ''
  if (!online) text = phase === 'idle' ? 'No connection' : 'No connection. The answer goes on; it will be here when you are back'
  else if (phase === 'taken-over') text = `Writing · attempt ${attempt} took it over and goes on`
  else if (phase === 'live' && attempt > 1) text = `Writing · attempt ${attempt}`
  else if (phase !== 'idle') text = WORDS[phase]
  const tone = !online || phase === 'stalled' || phase === 'resuming' ? 'waiting' : 'well'
  return (
    // Its room is always there, so that nothing moves when it has something to say.
    <div className="status" data-phase={online ? phase : 'offline'} data-tone={tone}>
      {text === '' ? null : (
        <>
          <span className="pulse" aria-hidden="true" />
          <span>{text}</span>
        </>
      )}
    </div>
  )
}
