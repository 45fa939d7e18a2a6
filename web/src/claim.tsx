/** Opening the link from another device: this one becomes the same user's, once a person has said so. */

import { useEffect, useState } from 'react'
import { claimDevice, listChats, Problem } from './api'
import { go } from './place'
import { tell } from './tabs'
import { Trouble } from './trouble'

/** What would be lost here, as far as it is known. */
const LOSSES = {
  none: '',
  some: 'The conversations that are listed here now will no longer be.',
  unknown: 'Conversations that were begun here will no longer be listed.',
} as const

/**
 * Asks, and claims the link when its button is pressed. Never unasked, not even where there is nothing to lose:
 * whoever followed a link of somebody else's would write their questions into that person's conversations.
 *
 * @param code the one-time code of the link.
 */
export function Claim({ code }: { code: string }) {
  const [loss, setLoss] = useState<keyof typeof LOSSES | null>(null)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const claim = async () => {
    setProblem(null)
    setBusy(true)
    try {
      await claimDevice(code)
      go(null, { replace: true })
      tell({ kind: 'joined', chat: null })
    } catch (error) {
      setBusy(false)
      setProblem(error instanceof Problem ? error : new Problem(0, 'claim_failed', 'The link could not be opened.'))
    }
  }
  useEffect(() => {
    let current = true
    listChats().then(
      ({ chats }) => current && setLoss(chats.length === 0 ? 'none' : 'some'),
      () => current && setLoss('unknown'),
    )
    return () => {
      current = false
    }
  }, [code])
  const leave = () => go(null, { replace: true })
  if (problem?.status === 410) {
    return (
      <Card title="This link was used or has expired">
        <p>Make a new one on the other device.</p>
        <button type="button" className="button" onClick={leave}>
          Close
        </button>
      </Card>
    )
  }
  return (
    <Card title="Go on with another device’s conversations?">
      <p>
        This browser will show every conversation of the device that made this link, and can go on with them and delete
        them. Whoever has that device can read what you ask here. {LOSSES[loss ?? 'none']}
      </p>
      <p>Go on only if you made the link yourself.</p>
      {problem !== null ? <Trouble problem={problem} onRetry={() => void claim()} /> : null}
      {loss === null ? <p role="status">One moment.</p> : null}
      {problem === null ? (
        <button type="button" className="button strong" disabled={busy || loss === null} onClick={() => void claim()}>
          Go on with the other device’s conversations
        </button>
      ) : null}
      <button type="button" className="button" onClick={leave}>
        Cancel
      </button>
    </Card>
  )
}

function Card({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <main className="page">
      <section className="card">
        <h1>{title}</h1>
        {children}
      </section>
    </main>
  )
}
