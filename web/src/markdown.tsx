/** Markdown as it streams. HTML in it is shown as text, links leave safely, and images load from here alone. */

import { type ComponentProps, memo } from 'react'
import { type Components, type ExtraProps, Streamdown } from 'streamdown'
import { CodeBlock } from './code'

type Tag<Name extends keyof React.JSX.IntrinsicElements> = ComponentProps<Name> & ExtraProps

const SAFE = /^(?:https?:|mailto:|tel:|#)/i
const OWN_IMAGE = /^(?:data:image\/(?:png|jpeg|gif|webp|avif);|blob:|\/(?!\/))/i

/** An address as it may be used, or null. A relative one has no meaning in an answer. */
export function safeAddress(url: string, key: string): string | null {
  if (key === 'src') return OWN_IMAGE.test(url) || /^https?:/i.test(url) ? url : null
  return SAFE.test(url) ? url : null
}

function Link({ href, children }: Tag<'a'>) {
  if (!href) return <span>{children}</span>
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  )
}

/** A picture from elsewhere would tell its server who reads this: it is named, and opens on request. */
function Picture({ src, alt }: Tag<'img'>) {
  if (typeof src !== 'string' || src === '') return <span className="no-picture">[{alt || 'image'}]</span>
  if (OWN_IMAGE.test(src)) return <img className="picture" src={src} alt={alt ?? ''} />
  // Models write addresses that are none, and a half-written one is none yet.
  if (!URL.canParse(src)) return <span className="no-picture">[{alt || 'image'}]</span>
  return (
    <a className="no-picture" href={src} target="_blank" rel="noopener noreferrer nofollow">
      Image: {alt || new URL(src).hostname}
    </a>
  )
}

/** Columns of a table, by its head. */
function columnsOf(node: ExtraProps['node']): number {
  const rows = node?.children.flatMap((part) => ('children' in part ? part.children : [])) ?? []
  const cells = rows.flatMap((row) => ('children' in row ? [row.children.filter((cell) => cell.type === 'element').length] : []))
  return cells[0] ?? 1
}

function Table({ node, children }: Tag<'table'>) {
  return (
    // Reachable by keyboard, so that a wide one can be scrolled without a mouse.
    <div className="table" role="region" aria-label="Table" tabIndex={0}>
      {/* Columns keep the width that they begin with, whatever is written into them later: nothing jumps. */}
      <table style={{ minWidth: `${columnsOf(node) * 7.5}rem` }}>{children}</table>
    </div>
  )
}

// The page's own headings are above those of an answer, whatever level the model begins with.
const COMPONENTS: Components = {
  a: Link,
  img: Picture,
  table: Table,
  code: CodeBlock,
  inlineCode: ({ children }: Tag<'code'>) => <code>{children}</code>,
  h1: ({ children }: Tag<'h1'>) => <h3>{children}</h3>,
  h2: ({ children }: Tag<'h2'>) => <h3>{children}</h3>,
  h3: ({ children }: Tag<'h3'>) => <h4>{children}</h4>,
  h4: ({ children }: Tag<'h4'>) => <h5>{children}</h5>,
  h5: ({ children }: Tag<'h5'>) => <h6>{children}</h6>,
  h6: ({ children }: Tag<'h6'>) => <h6>{children}</h6>,
  p: ({ children }: Tag<'p'>) => <p>{children}</p>,
  ul: ({ children }: Tag<'ul'>) => <ul>{children}</ul>,
  ol: ({ children, start }: Tag<'ol'>) => <ol start={start}>{children}</ol>,
  li: ({ children }: Tag<'li'>) => <li>{children}</li>,
  blockquote: ({ children }: Tag<'blockquote'>) => <blockquote>{children}</blockquote>,
  hr: () => <hr />,
  strong: ({ children }: Tag<'strong'>) => <strong>{children}</strong>,
  thead: ({ children }: Tag<'thead'>) => <thead>{children}</thead>,
  tbody: ({ children }: Tag<'tbody'>) => <tbody>{children}</tbody>,
  tr: ({ children }: Tag<'tr'>) => <tr>{children}</tr>,
  th: ({ children, style }: Tag<'th'>) => <th style={style}>{children}</th>,
  td: ({ children, style }: Tag<'td'>) => <td style={style}>{children}</td>,
}

/** None: raw HTML is not parsed, so there is nothing to be made harmless. */
const NO_PLUGINS: [] = []

/** @param text the markdown so far. @param live whether more of it comes. */
export const Markdown = memo(function Markdown({ text, live }: { text: string; live: boolean }) {
  return (
    <Streamdown
      className="prose"
      // The same at the end as before it: another mode would build the whole answer anew.
      mode="streaming"
      parseIncompleteMarkdown={live}
      components={COMPONENTS}
      rehypePlugins={NO_PLUGINS}
      urlTransform={safeAddress}
      controls={false}
      dir="auto"
    >
      {text}
    </Streamdown>
  )
})
