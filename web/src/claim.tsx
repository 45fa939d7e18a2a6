/** Opening the link from another device: this one becomes the same user's. */

import { useEffect, useState } from 'react'
import { claimDevice, listChats, Problem } from './api'
import { go } from './place'
import { tell } from './tabs'
import { Trouble } from './trouble'

/** @param code the one-time code of the link. */
export function Claim({ code }: { code: string }) {
  const [own, setOwn] = useState<number | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const claim = async () => {
    setProblem(null)
    try {
      await claimDevice(code)
      go(null, { replace: true })
      tell({ kind: 'joined', chat: null })
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, 'claim_failed', 'The link could not be opened.'))
    }
  }
  useEffect(() => {
    let current = true
    // Someone else's link must not take a person's own conversations from them unasked.
    listChats().then(
      ({ chats }) => {
        if (!current) return
        if (chats.length === 0) void claim()
        else setOwn(chats.length)
      },
      () => current && setOwn(0),
    )
    return () => {
      current = false
    }
  }, [code])
  const used = problem?.status === 410
  return (
    <main className="page">
      <section className="card">
        <h1>{used ? 'This link was used or has expired' : 'Go on here'}</h1>
        {problem !== null && !used ? <Trouble problem={problem} onRetry={() => void claim()} /> : null}
        {used ? (
          <p>Make a new one on the other device.</p>
        ) : own === null ? (
          <p role="status">One moment.</p>
        ) : (
          <>
            <p>
              This link brings the conversations of another device to this one.
              {own > 0 ? ' The conversations that are listed here now will no longer be.' : ''} Open it only if you made it
              yourself.
            </p>
            <button type="button" className="button strong" onClick={() => void claim()}>
              Go on with the other device’s conversations
            </button>
          </>
        )}
        <button type="button" className="button" onClick={() => go(null, { replace: true })}>
          Leave it
        </button>
      </section>
    </main>
  )
}
