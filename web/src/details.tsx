/** How an answer came about, in one quiet line that opens. */

import type { Outcome } from './answers'
import { Icon } from './icons'

const seconds = (ms: number) => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
const often = (count: number, why: string) => (count === 0 ? 'never' : `${times(count, 'time', 'times')}, ${why}`)
const times = (count: number, one: string, many: string) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`

const ENDINGS = { finished: 'Complete', failed: 'Failed', stopped: 'Stopped', live: 'Being written' } as const

/** The line's words: the end, and only what was out of the ordinary. */
export function summaryOf(outcome: Outcome): string {
  const said: string[] = [ENDINGS[outcome.state]]
  if (outcome.takeovers > 0) said.push(`taken over ${times(outcome.takeovers, 'time', 'times')}`)
  if (outcome.handoffs > 0) said.push(`handed on ${times(outcome.handoffs, 'time', 'times')}`)
  if (outcome.durationMs !== null) said.push(seconds(outcome.durationMs))
  return said.join(' · ')
}

export function Details({ outcome, stream }: { outcome: Outcome; stream: string }) {
  const rows: [string, string][] = [
    ['Attempts', outcome.attempts.toLocaleString('en')],
    ['Handed on', often(outcome.handoffs, 'before a time limit')],
    ['Taken over', often(outcome.takeovers, 'after a failure')],
    ['Rescued', often(outcome.rescues, 'when nobody wrote any more')],
    ['Text', outcome.exact ? 'exactly one call of the model' : 'continued from what an earlier attempt wrote'],
    ['Length', `${times(outcome.characters, 'character', 'characters')} in ${times(outcome.parts, 'part', 'parts')}`],
  ]
  if (outcome.firstMs !== null) rows.push(['First words', `after ${seconds(outcome.firstMs)}`])
  if (outcome.durationMs !== null) rows.push(['Time', seconds(outcome.durationMs)])
  if (outcome.error !== null) rows.push(['Error', `${outcome.error.code}: ${outcome.error.message}`])
  rows.push(['Stream', stream])
  return (
    <details className="details" data-state={outcome.state}>
      <summary>
        <Icon name="chevron" />
        {summaryOf(outcome)}
      </summary>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  )
}
