/** The view stays at the end of a growing answer, until the reader scrolls away. */

import { type RefObject, useCallback, useEffect, useRef, useState } from 'react'

/** Pixels from the end within which the reader counts as being there. */
const NEAR = 48

interface Following {
  /** What scrolls. */
  box: RefObject<HTMLDivElement | null>
  /** What grows in it. */
  content: RefObject<HTMLDivElement | null>
  /** Whether there is more below than can be seen. */
  away: boolean
  toEnd: () => void
}

export function useFollowing(): Following {
  const box = useRef<HTMLDivElement>(null)
  const content = useRef<HTMLDivElement>(null)
  const pinned = useRef(true)
  const [away, setAway] = useState(false)

  const toEnd = useCallback(() => {
    pinned.current = true
    setAway(false)
    const view = box.current
    if (view) view.scrollTop = view.scrollHeight
  }, [])

  useEffect(() => {
    const view = box.current
    const inner = content.current
    if (!view || !inner) return
    let last = view.scrollTop
    const look = () => {
      const left = view.scrollHeight - view.clientHeight - view.scrollTop
      // Only a move upwards is the reader's wish: growth alone moves nothing.
      if (left <= NEAR) pinned.current = true
      else if (view.scrollTop < last) pinned.current = false
      last = view.scrollTop
      setAway(!pinned.current && left > NEAR)
    }
    const grown = new ResizeObserver(() => {
      if (pinned.current) view.scrollTop = view.scrollHeight
      look()
    })
    grown.observe(inner)
    grown.observe(view)
    view.addEventListener('scroll', look, { passive: true })
    return () => {
      grown.disconnect()
      view.removeEventListener('scroll', look)
    }
  }, [])

  return { box, content, away, toEnd }
}
