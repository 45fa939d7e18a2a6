/** Code blocks: highlighted by a part that loads when the first block is seen, copied with one press. */

import { type ComponentProps, createElement, type ReactNode, useDeferredValue, useEffect, useState } from 'react'
import type { ExtraProps } from 'streamdown'
import { CopyButton } from './copy'
import type { Highlighter } from './highlight'

let loaded: Highlighter | null = null
let loading: Promise<Highlighter> | null = null

/** The highlighter once it is there; until then code is shown plain. */
function useHighlighter(): Highlighter | null {
  const [found, setFound] = useState<Highlighter | null>(() => loaded)
  useEffect(() => {
    if (found !== null) return
    let current = true
    loading ??= import('./highlight').then((module) => (loaded = module.highlight))
    loading.then(
      (highlight) => current && setFound(() => highlight),
      () => (loading = null), // plain code is still code; the next block tries again
    )
    return () => {
      current = false
    }
  }, [found])
  return found
}

/** The text below a node, whatever it was made into. */
function plain(node: ReactNode): string {
  if (typeof node === 'string' || typeof node === 'number') return String(node)
  return Array.isArray(node) ? node.map(plain).join('') : ''
}

export function CodeBlock({ className, children }: ComponentProps<'code'> & ExtraProps) {
  const language = /language-([\w+#.-]+)/.exec(className ?? '')?.[1] ?? ''
  const code = plain(children).replace(/\n$/, '')
  const shown = useDeferredValue(code)
  const highlight = useHighlighter()
  const label = language || 'code'
  return (
    <figure className="code">
      <figcaption>
        <span>{label}</span>
        <CopyButton text={() => code} label="Copy code" />
      </figcaption>
      {/* Reachable by keyboard, so that a wide one can be scrolled without a mouse. */}
      <pre tabIndex={0} role="region" aria-label={`Code, ${label}`}>
        <code>{highlight === null ? shown : highlight(shown, language).map(rendered)}</code>
      </pre>
    </figure>
  )
}

interface Painted {
  text: string
  kind: string
}

function rendered({ text, kind }: Painted, index: number): ReactNode {
  return kind === '' ? text : createElement('span', { key: index, className: kind }, text)
}
