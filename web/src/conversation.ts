/** One open conversation: its history, its live answer, and what happens to both. */

import { Chat, useChat } from '@ai-sdk/react'
import type { UIMessage } from 'ai'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { announce } from './announce'
import { type Outcome, outcomeIn, outcomeOf, type Phase, streamOf, textOf } from './answers'
import { asProblem, Problem, readChat, readStatus, stopStream } from './api'
import { Watch } from './follow'
import { hear, tell } from './tabs'
import { chatTransport } from './transport'

const UNANSWERED = new Problem(0, 'unanswered', 'It was asked, and no answer to it was kept.')

/** Milliseconds after which an unknown conversation is looked for again. */
const YOUNG_MS = 1500
/** Milliseconds between two renderings of an answer that is being written. */
const PACE_MS = 60
/** Characters of an answer up to which a screen reader is given the whole of it at its end. */
const READ_OUT = 600

export interface Open {
  messages: UIMessage[]
  phase: Phase
  /** The newest attempt that was seen of the live answer. */
  attempt: number
  /** The stream that answers, or answered last. */
  stream: string | null
  outcomes: Record<string, Outcome>
  problem: Problem | null
  busy: boolean
  loading: boolean
  /** Whether there is no such conversation, or it is somebody else's. */
  missing: boolean
  send: (text: string) => void
  stop: () => Promise<void>
  regenerate: () => void
  retry: () => void
}

/** @param id the conversation's id, also one that nobody has written to yet. */
export function useConversation(id: string, fresh: boolean): Open {
  const [phase, setPhase] = useState<Phase>('idle')
  const [attempt, setAttempt] = useState(1)
  const [stream, setStream] = useState<string | null>(null)
  const [outcomes, setOutcomes] = useState<Record<string, Outcome>>({})
  const [problem, setProblem] = useState<Problem | null>(null)
  const [loading, setLoading] = useState(!fresh)
  const [missing, setMissing] = useState(false)
  /** What callbacks of the chat must see of now, not of the rendering that made them. */
  const now = useRef({ phase, stream, mounted: true })
  const watch = useRef(new Watch())
  now.current.phase = phase

  const learn = useCallback(async (of: string) => {
    try {
      const outcome = outcomeOf(await readStatus(of))
      setOutcomes((known) => ({ ...known, [of]: outcome }))
      return outcome
    } catch {
      return null // the details line stays empty; the answer itself is there
    }
  }, [])

  const chat = useMemo(() => {
    const made: Chat<UIMessage> = new Chat<UIMessage>({
      id,
      transport: chatTransport({
        onStream: (found) => {
          watch.current.reset()
          now.current.stream = found
          setStream(found)
          setProblem(null)
          tell({ kind: 'started', chat: id })
        },
        onState: (state) => {
          const next = watch.current.take(state, now.current.phase)
          setAttempt(watch.current.attempt)
          if (next === null) return
          now.current.phase = next
          setPhase(next)
        },
      }),
      onError: (error) => {
        const found = asProblem(error)
        setProblem(found)
        announce(`The answer failed. ${found.message}`)
      },
      onFinish: async ({ message, isAbort, isError }) => {
        setPhase('idle')
        if (isAbort) return
        const of = streamOf(message) ?? now.current.stream
        const told = outcomeIn(message)
        const outcome = told ?? (of === null ? null : await learn(of))
        tell({ kind: 'ended', chat: id })
        if (outcome?.state === 'stopped') announce('The answer was stopped.')
        else if (!isError && outcome?.state === 'finished') announce(ending(message))
      },
    })
    return made
  }, [id, learn])

  const { messages, status, sendMessage, regenerate, resumeStream, setMessages } = useChat<UIMessage>({
    chat,
    throttle: PACE_MS,
  })
  const busy = status === 'submitted' || status === 'streaming'

  /** Bring in what the server has, and follow its live answer from wherever that is. */
  const sync = useCallback(async (): Promise<void> => {
    const reading = () => chat.status === 'submitted' || chat.status === 'streaming'
    if (reading()) return
    try {
      let found = await readChat(id)
      if (found === null && !fresh) {
        // Whoever refreshes right after asking may be faster than the start.
        await new Promise((resolve) => setTimeout(resolve, YOUNG_MS))
        found = await readChat(id)
      }
      setLoading(false)
      setMissing(found === null && !fresh)
      if (found === null || !now.current.mounted || reading()) return
      const asked = chat.lastMessage
      const unsent = chat.status === 'error' && asked?.role === 'user' && !found.messages.some((m) => m.id === asked.id)
      if (unsent) return // the question never arrived, and only this tab has it
      setMessages(found.messages)
      if (found.stream === null) {
        const last = found.messages.at(-1)
        const of = streamOf(last)
        setStream(of)
        const outcome = last === undefined || of === null ? null : (outcomeIn(last) ?? (await learn(of)))
        const failed = outcome?.error ? new Problem(0, outcome.error.code, outcome.error.message) : null
        const open = last?.role === 'user' ? UNANSWERED : null
        // What is known of a failure says more than that there is no answer.
        setProblem((known) => failed ?? (open === null ? null : (known ?? open)))
        return
      }
      now.current.stream = found.stream
      setStream(found.stream)
      setProblem(null)
      setPhase('resuming')
      announce('An answer is being written. Picking it up.')
      await resumeStream()
      // It ended between the two requests: the history has it now.
      if (chat.lastMessage?.role === 'user' && chat.status === 'ready' && now.current.mounted) await sync()
    } catch (error) {
      setLoading(false)
      if (error instanceof Problem) setProblem(error)
    } finally {
      if (!reading()) setPhase('idle')
    }
  }, [chat, fresh, id, learn, resumeStream, setMessages])

  useEffect(() => {
    now.current.mounted = true
    if (!fresh) void sync()
    return () => {
      now.current.mounted = false
      // Leaving ends this reader and nothing else: the answer goes on without it.
      void chat.stop()
    }
  }, [chat, fresh, sync])

  useEffect(() => {
    const look = () => {
      const unasked = fresh && now.current.stream === null
      if (document.visibilityState === 'visible' && navigator.onLine && !unasked) void sync()
    }
    const stopHearing = hear((news, own) => {
      if (!own && news.chat === id && news.kind !== 'deleted') look()
    })
    document.addEventListener('visibilitychange', look)
    window.addEventListener('online', look)
    return () => {
      stopHearing()
      document.removeEventListener('visibilitychange', look)
      window.removeEventListener('online', look)
    }
  }, [fresh, id, sync])

  const begin = () => {
    now.current.stream = null
    now.current.phase = 'sending'
    setMissing(false)
    setProblem(null)
    setPhase('sending')
    setAttempt(1)
    announce('Sent. The answer is being written.')
  }

  return {
    messages,
    phase: busy && phase === 'idle' ? 'queued' : phase,
    attempt,
    stream,
    outcomes,
    problem,
    busy,
    loading,
    missing,
    send: (text) => {
      begin()
      void sendMessage({ text })
    },
    stop: async () => {
      now.current.phase = 'stopping'
      setPhase('stopping')
      try {
        const known = now.current.stream
        // The start is still on its way: it may have arrived, and then only the server can end it.
        if (known === null) await chat.stop()
        const stream = known ?? (await readChat(id))?.stream ?? null
        if (stream !== null) await stopStream(stream)
        if (known === null) await sync()
      } catch (error) {
        setPhase(busy ? 'live' : 'idle')
        if (error instanceof Problem) setProblem(error)
      }
    },
    regenerate: () => {
      begin()
      void regenerate()
    },
    retry: () => {
      begin()
      // An answer that began and failed is made anew; a question that never arrived is sent again, as itself.
      if (messages.at(-1)?.role === 'assistant') void regenerate()
      else void sendMessage()
    },
  }
}

function ending(message: UIMessage): string {
  const text = textOf(message)
  if (text.length <= READ_OUT) return `The answer is complete. ${text}`
  return `The answer is complete: ${text.split(/\s+/).length} words.`
}
