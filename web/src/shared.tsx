/** Somebody else's answer, read-only, while it is written and afterwards. */

import { Chat, useChat } from '@ai-sdk/react'
import type { UIMessage } from 'ai'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { announce } from './announce'
import { type Outcome, outcomeIn, outcomeOf, type Phase, textOf } from './answers'
import { asProblem, type Problem, readStatus } from './api'
import { CopyButton } from './copy'
import { Details } from './details'
import { Watch } from './follow'
import { Mark } from './icons'
import { Message } from './message'
import { useOnline } from './online'
import { useFollowing } from './scroll'
import { StatusLine } from './status'
import { sharedTransport } from './transport'
import { Trouble } from './trouble'

export function Shared({ stream, token }: { stream: string; token: string }) {
  const [phase, setPhase] = useState<Phase>('resuming')
  const [outcome, setOutcome] = useState<Outcome | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const online = useOnline()
  const { box, content } = useFollowing()

  const watch = useRef(new Watch())
  const now = useRef(phase)
  now.current = phase

  const chat = useMemo(
    () =>
      new Chat<UIMessage>({
        id: stream,
        transport: sharedTransport(stream, token, {
          onState: (state) => {
            const next = watch.current.take(state, now.current)
            if (next !== null) setPhase(next)
          },
        }),
        onError: (error) => setProblem(asProblem(error)),
        onFinish: async ({ message, isAbort }) => {
          setPhase('idle')
          if (isAbort) return
          const found = outcomeIn(message) ?? (await readStatus(stream, token).then(outcomeOf, () => null))
          setOutcome(found)
          // A failure is an alert, which is told by itself.
          if (found?.state === 'stopped') announce('The answer was stopped.')
          else if (found?.state === 'finished') announce('The answer is complete.')
        },
      }),
    [stream, token],
  )
  const { messages, status, resumeStream } = useChat<UIMessage>({ chat, throttle: 60 })

  const resume = useCallback(() => {
    setProblem(null)
    void resumeStream()
  }, [resumeStream])

  useEffect(() => {
    const look = () => {
      if (chat.status === 'error') resume()
    }
    resume()
    window.addEventListener('online', look)
    return () => {
      window.removeEventListener('online', look)
      void chat.stop()
    }
  }, [chat, resume])

  const live = status === 'submitted' || status === 'streaming'
  const answer = messages.findLast((message) => message.role === 'assistant')
  const gone = problem !== null && (problem.status === 404 || problem.status === 410)
  return (
    <div className="shared">
      <header className="bar">
        <a className="brand" href="/">
          <Mark />
          Holdfast
        </a>
        <span className="badge">Shared answer, read-only</span>
      </header>
      <main className="thread">
        <h1 className="unseen">A shared answer</h1>
        <div className="scroll" ref={box} tabIndex={0} role="region" aria-label="Shared answer">
          <div className="column" ref={content}>
            {answer !== undefined ? (
              <Message message={answer} live={live}>
                {live ? null : (
                  <footer className="after">
                    <CopyButton text={() => textOf(answer)} label="Copy answer" />
                    {outcome !== null ? <Details outcome={outcome} stream={stream} /> : null}
                  </footer>
                )}
              </Message>
            ) : null}
            {gone ? (
              <section className="welcome">
                <h2>This link leads nowhere any more</h2>
                <p>It was withdrawn, it has expired, or the answer is no longer kept. Ask whoever sent it for a new one.</p>
              </section>
            ) : null}
            {problem !== null && !gone ? (
              // An answer that failed stays as it is: only its owner can have it made anew.
              <Trouble problem={problem} onRetry={outcome?.state === 'failed' ? undefined : resume} />
            ) : null}
          </div>
        </div>
        <div className="below">
          <StatusLine phase={gone || problem !== null ? 'idle' : phase} attempt={watch.current.attempt} online={online} />
        </div>
      </main>
    </div>
  )
}
