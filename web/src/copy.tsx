/** Copying, with the word that it worked. */

import { useEffect, useRef, useState } from 'react'
import { announce } from './announce'
import { Icon } from './icons'

const SHOWN_MS = 1600

async function toClipboard(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  // Without https there is no clipboard to ask: the selection is copied the old way.
  const area = document.createElement('textarea')
  area.value = text
  area.setAttribute('readonly', '')
  document.body.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  if (!done) throw new Error('not copied')
}

/** @param text what is copied, asked for at the press. */
export function CopyButton({ text, label, wide }: { text: () => string; label: string; wide?: boolean }) {
  const [state, setState] = useState<'idle' | 'done' | 'failed'>('idle')
  const timer = useRef(0)
  useEffect(() => () => clearTimeout(timer.current), [])
  const copy = async () => {
    try {
      await toClipboard(text())
      setState('done')
      announce('Copied.')
    } catch {
      setState('failed')
      announce('The browser did not allow copying.')
    }
    clearTimeout(timer.current)
    timer.current = window.setTimeout(() => setState('idle'), SHOWN_MS)
  }
  const word = state === 'done' ? 'Copied' : state === 'failed' ? 'Not allowed' : label
  return (
    <button type="button" className={wide ? 'button' : 'quiet'} onClick={copy} aria-label={label} title={label}>
      <Icon name={state === 'done' ? 'check' : 'copy'} />
      {wide || state !== 'idle' ? <span>{word}</span> : null}
    </button>
  )
}
