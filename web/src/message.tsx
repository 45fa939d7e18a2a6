/** One message: what was asked, or an answer with its thoughts, tools, sources and files. */

import { type DynamicToolUIPart, getToolName, isToolUIPart, type ToolUIPart, type UIMessage } from 'ai'
import { memo, type ReactNode } from 'react'
import { textOf } from './answers'
import { Icon } from './icons'
import { Markdown } from './markdown'
import { Sheltered } from './message-shelter'

type Part = UIMessage['parts'][number]

interface Shown {
  message: UIMessage
  /** Whether more of it comes. */
  live: boolean
  /** What stands below an answer: its details and what can be done with it. */
  children?: ReactNode
}

export const Message = memo(function Message({ message, live, children }: Shown) {
  if (message.role === 'user') {
    return (
      <article className="asked" data-message={message.id}>
        <h2 className="unseen">You asked</h2>
        <p>{textOf(message)}</p>
      </article>
    )
  }
  const last = message.parts.length - 1
  return (
    // Busy while it grows: a screen reader is told of the end, and not of every word.
    <article className="answer" data-message={message.id} aria-busy={live}>
      <h2 className="unseen">Answer</h2>
      <Sheltered content={message} instead={textOf(message)}>
        {message.parts.map((part, index) => (
          // Parts are only ever added at the end, so their place is their name.
          <PartView key={index} part={part} live={live && index === last} />
        ))}
      </Sheltered>
      {children}
    </article>
  )
})

function PartView({ part, live }: { part: Part; live: boolean }) {
  if (part.type === 'text') return <Markdown text={part.text} live={live} />
  if (part.type === 'reasoning') return <Thoughts text={part.text} live={live} />
  if (isToolUIPart(part)) return <Tool part={part} />
  if (part.type === 'source-url') return <Source name={part.title ?? part.url} url={part.url} />
  if (part.type === 'source-document') return <Source name={part.title} />
  if (part.type === 'file') return <FilePart url={part.url} type={part.mediaType} name={part.filename} />
  return null
}

function Thoughts({ text, live }: { text: string; live: boolean }) {
  if (text === '' && !live) return null
  return (
    <details className="fold">
      <summary>
        <Icon name="chevron" />
        {live ? 'Thinking…' : 'Thoughts'}
      </summary>
      <div className="thoughts">
        <Markdown text={text} live={live} />
      </div>
    </details>
  )
}

const TOOL_STATES: Record<string, string> = {
  'input-streaming': 'being called',
  'input-available': 'called',
  'output-available': 'answered',
  'output-error': 'failed',
  'output-denied': 'denied',
}

function Tool({ part }: { part: ToolUIPart | DynamicToolUIPart }) {
  return (
    <details className="fold tool" data-state={part.state}>
      <summary>
        <Icon name="chevron" />
        <code>{getToolName(part)}</code> {TOOL_STATES[part.state] ?? 'waiting'}
      </summary>
      <dl>
        <dt>Input</dt>
        <dd>
          <Value of={part.input} />
        </dd>
        {part.state === 'output-available' ? (
          <>
            <dt>Output</dt>
            <dd>
              <Value of={part.output} />
            </dd>
          </>
        ) : null}
        {part.state === 'output-error' ? (
          <>
            <dt>Error</dt>
            <dd>{part.errorText}</dd>
          </>
        ) : null}
      </dl>
    </details>
  )
}

function Value({ of }: { of: unknown }) {
  const text = typeof of === 'string' ? of : (JSON.stringify(of, null, 2) ?? '')
  return (
    <pre tabIndex={0} role="region" aria-label="Value">
      {text}
    </pre>
  )
}

const isWeb = (url: string) => /^https?:\/\//i.test(url)

function Source({ name, url }: { name: string; url?: string }) {
  return (
    <p className="source">
      {'Source: '}
      {url !== undefined && isWeb(url) ? (
        <a href={url} target="_blank" rel="noopener noreferrer nofollow">
          {name}
        </a>
      ) : (
        <span>{name}</span>
      )}
    </p>
  )
}

function FilePart({ url, type, name }: { url: string; type: string; name: string | undefined }) {
  const label = name ?? type
  if (/^data:image\/(?:png|jpeg|gif|webp|avif);/i.test(url)) return <img className="picture" src={url} alt={label} />
  const safe = isWeb(url) || /^data:(?!text\/html|image\/svg)/i.test(url)
  return (
    <p className="source">
      {'File: '}
      {safe ? (
        <a href={url} target="_blank" rel="noopener noreferrer nofollow" download={isWeb(url) ? undefined : label}>
          {label}
        </a>
      ) : (
        <span>{label}</span>
      )}
    </p>
  )
}
