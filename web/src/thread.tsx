/** One conversation on the screen: its messages, what happens, and the field for the next question. */

import { useEffect, useState } from 'react'
import { outcomeIn, streamOf, textOf } from './answers'
import { Composer } from './composer'
import { type Open, useConversation } from './conversation'
import { CopyButton } from './copy'
import { Details } from './details'
import { Icon } from './icons'
import { Message } from './message'
import { useOnline } from './online'
import { useFollowing } from './scroll'
import { StatusLine } from './status'
import { Trouble } from './trouble'

interface Props {
  id: string
  /** Whether nobody has written to it yet: there is nothing to load. */
  fresh: boolean
  /** Called when the first question of a new conversation goes out. */
  onBegin: () => void
  /** Called with the stream whose answer can be shared, or null. */
  onStream: (stream: string | null) => void
}

const IDEAS = [
  'Explain how a relay race is like a message queue',
  'Compare three ways to resume an interrupted download, in a table',
  'Write a Python function that reads a file in chunks, and explain it',
]

export function Thread({ id, fresh: begunHere, onBegin, onStream }: Props) {
  // As it was when this conversation was opened: the first question changes the address, and nothing is to be loaded.
  const [fresh] = useState(begunHere)
  const open = useConversation(id, fresh)
  const online = useOnline()
  const { box, content, away, toEnd } = useFollowing()
  const [draft, setDraft] = useState({ text: '' })
  const { stream, messages, busy } = open

  useEffect(() => onStream(stream), [onStream, stream])

  const send = (text: string) => {
    onBegin()
    open.send(text)
    toEnd()
  }
  const empty = messages.length === 0 && !open.loading && open.problem === null && !busy
  return (
    <div className="thread" data-phase={open.phase}>
      <div className="scroll" ref={box} tabIndex={0} role="region" aria-label="Conversation">
        <div className="column" ref={content}>
          {empty && open.missing ? <Missing /> : empty ? <Welcome onPick={(text) => setDraft({ text })} /> : <Messages open={open} />}
          {open.loading ? <Waiting /> : null}
          {open.problem !== null ? <Trouble problem={open.problem} onRetry={busy ? undefined : open.retry} /> : null}
        </div>
      </div>
      <div className="below">
        {away ? (
          <button type="button" className="to-end" onClick={toEnd} aria-label="To the newest words" title="To the newest words">
            <Icon name="down" />
          </button>
        ) : null}
        <StatusLine phase={open.phase} attempt={open.attempt} online={online} />
        <Composer
          busy={busy}
          stopping={open.phase === 'stopping'}
          onSend={send}
          onStop={() => void open.stop()}
          draft={draft}
        />
      </div>
    </div>
  )
}

function Messages({ open }: { open: Open }) {
  const last = open.messages.length - 1
  return open.messages.map((message, index) => {
    const live = open.busy && index === last
    const stream = streamOf(message)
    const outcome = stream === null ? null : (outcomeIn(message) ?? open.outcomes[stream] ?? null)
    if (message.role !== 'assistant') return <Message key={message.id} message={message} live={false} />
    return (
      <Message key={message.id} message={message} live={live}>
        {live ? null : (
          <footer className="after">
            <CopyButton text={() => textOf(message)} label="Copy answer" />
            {index === last && open.over ? (
              <button type="button" className="quiet" onClick={open.regenerate} aria-label="Answer again" title="Answer again">
                <Icon name="again" />
              </button>
            ) : null}
            {outcome !== null && stream !== null ? <Details outcome={outcome} stream={stream} /> : null}
          </footer>
        )}
      </Message>
    )
  })
}

function Missing() {
  return (
    <section className="welcome">
      <h2>There is no such conversation here</h2>
      <p>It was deleted, it is older than what is kept, or it belongs to somebody else. You can begin a new one.</p>
    </section>
  )
}

function Waiting() {
  return (
    <div className="waiting" role="status">
      <span className="unseen">Loading the conversation</span>
      <span className="bar" />
      <span className="bar" />
      <span className="bar short" />
    </div>
  )
}

function Welcome({ onPick }: { onPick: (text: string) => void }) {
  return (
    <section className="welcome">
      <h2>Ask, and let go.</h2>
      <p>
        Close the tab, lose the network, change to another device. The answer goes on without you, and it is here, whole,
        when you come back.
      </p>
      <ul>
        {IDEAS.map((idea) => (
          <li key={idea}>
            <button type="button" onClick={() => onPick(idea)}>
              {idea}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
