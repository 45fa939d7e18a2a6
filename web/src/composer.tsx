/** Where a question is written: Enter sends, Shift and Enter makes a new line. */

import { type KeyboardEvent, useEffect, useRef, useState } from 'react'
import { Icon, StopIcon } from './icons'

interface Props {
  /** Whether an answer is being written, which can be stopped. */
  busy: boolean
  stopping: boolean
  onSend: (text: string) => void
  onStop: () => void
  /** What the field begins with; a new object puts it there anew. */
  draft: { text: string }
}

/** Milliseconds after a press on Send in which one on Stop, which takes its place, is the same double click. */
const DOUBLE_CLICK_MS = 400

const isTouch = () => matchMedia('(pointer: coarse)').matches

export function Composer({ busy, stopping, onSend, onStop, draft }: Props) {
  const [text, setText] = useState(draft.text)
  const field = useRef<HTMLTextAreaElement>(null)
  const pressed = useRef(Number.NEGATIVE_INFINITY)

  const focus = () => {
    // On a touch screen the keyboard would cover half of the page unasked.
    if (!isTouch()) field.current?.focus({ preventScroll: true })
  }
  useEffect(() => {
    setText(draft.text)
    focus()
  }, [draft])

  useEffect(() => {
    const area = field.current
    if (!area || CSS.supports('field-sizing', 'content')) return
    area.style.height = 'auto'
    area.style.height = `${area.scrollHeight}px`
  }, [text])

  const send = () => {
    if (busy || text.trim() === '') return
    onSend(text.trim())
    setText('')
  }
  const stop = () => {
    focus()
    if (performance.now() - pressed.current >= DOUBLE_CLICK_MS) onStop()
  }
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing || isTouch()) return
    event.preventDefault()
    send()
  }
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        pressed.current = performance.now()
        send()
        focus() // the button that had it is gone
      }}
    >
      <label className="unseen" htmlFor="question">
        Your question
      </label>
      <textarea
        id="question"
        ref={field}
        rows={1}
        value={text}
        placeholder="Ask anything"
        autoComplete="off"
        enterKeyHint="enter"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKey}
      />
      {busy ? (
        <button
          key="stop"
          type="button"
          className="round stop"
          onClick={stop}
          disabled={stopping}
          aria-label="Stop the answer"
          title="Stop the answer"
        >
          <StopIcon />
        </button>
      ) : (
        <button key="send" type="submit" className="round" disabled={text.trim() === ''} aria-label="Send" title="Send">
          <Icon name="send" />
        </button>
      )}
    </form>
  )
}
