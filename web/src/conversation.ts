/** One open conversation: its history, its live answer, and what happens to both. */

import { Chat, useChat } from '@ai-sdk/react'
import type { UIMessage } from 'ai'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { announce } from './announce'
import { type Failure, failureIn, failureOf, OUT_OF_REACH, STOPPED_EMPTY, STOPPED_UNSENT } from './answer-failure'
import { endingOf, isSeen, type Outcome, outcomeIn, outcomeOf, type Phase, streamOf } from './answers'
import { type Problem, readChat, readStatus, stopStream } from './api'
import { Watch } from './follow'
import { hear, tell } from './tabs'
import { chatTransport } from './transport'

/** Milliseconds after which an unknown conversation is looked for again. */
const YOUNG_MS = 1500
/** Milliseconds before each further look for an answer that is said to be written, and is not there to be read. */
const LOOKS_MS = [0, 0, 1500, 3000, 6000]
/** Milliseconds between two renderings of an answer that is being written. */
const PACE_MS = 60
/** What asks for an answer: a new question, or another answer to the last one. */
type Request = 'send' | 'regenerate'

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
  /** Whether the newest answer is over for all that is known, so that another one may take its place. */
  over: boolean
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
  const [failure, setFailure] = useState<Failure | null>(null)
  const [loading, setLoading] = useState(!fresh)
  const [missing, setMissing] = useState(false)
  /** What callbacks of the chat must see of now, not of the rendering that made them. */
  const now = useRef({
    phase,
    stream,
    mounted: true,
    failure,
    /** The request that was made last from here, until the server's history is seen to hold its question. */
    request: null as Request | null,
    /** The question that the stream answers. */
    asked: undefined as string | undefined,
    /** Counts the looks at the server: a later one takes the place of those before. */
    looks: 0,
  })
  const watch = useRef(new Watch())
  now.current.phase = phase

  const fail = useCallback((found: Failure | null) => {
    now.current.failure = found
    setFailure(found)
  }, [])

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
          now.current.asked = made.messages.findLast((message) => message.role === 'user')?.id
          setStream(found)
          fail(null)
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
        const asking = now.current.request !== null && now.current.stream === null
        fail(failureOf(error, asking)) // its alert is read out by itself
      },
      onFinish: async ({ message, isAbort, isError }) => {
        setPhase('idle')
        if (isAbort) return
        const of = streamOf(message) ?? now.current.stream
        const told = outcomeIn(message)
        const outcome = told ?? (of === null ? null : await learn(of))
        if (outcome?.state !== 'live') tell({ kind: 'ended', chat: id })
        if (outcome?.state === 'stopped') {
          announce('The answer was stopped.')
          if (!message.parts.some(isSeen) && of === now.current.stream) fail(STOPPED_EMPTY)
        }
        if (!isError && outcome?.state === 'finished') announce(endingOf(message))
      },
    })
    return made
  }, [fail, id, learn])

  const { messages, status, sendMessage, regenerate, resumeStream, setMessages } = useChat<UIMessage>({
    chat,
    throttle: PACE_MS,
  })
  const busy = status === 'submitted' || status === 'streaming'

  /** Leave nothing of a conversation that is not there any more. */
  const clear = useCallback(() => {
    now.current.stream = null
    now.current.request = null
    setStream(null)
    setMessages([])
    setMissing(true)
    setLoading(false)
    setPhase('idle')
    fail(null)
  }, [fail, setMessages])

  /** What is wrong with the newest turn of a history that nobody is writing to. */
  const judge = useCallback(
    async (last: UIMessage | undefined): Promise<Failure | null> => {
      if (last === undefined) return null
      const open = last.role === 'user'
      const of = open ? (now.current.asked === last.id ? now.current.stream : null) : streamOf(last)
      const outcome = (open ? null : outcomeIn(last)) ?? (of === null ? null : await learn(of))
      return failureIn(last, outcome)
    },
    [learn],
  )

  /**
   * Bring in what the server has, and follow its live answer from wherever that is.
   *
   * @returns whether the server said that nobody is writing, and nothing else has begun here since.
   */
  const sync = useCallback(async (): Promise<boolean> => {
    const reading = () => chat.status === 'submitted' || chat.status === 'streaming'
    if (reading()) return false
    now.current.looks += 1
    const look = now.current.looks
    const current = () => now.current.mounted && now.current.looks === look && !reading()
    try {
      for (const delay of LOOKS_MS) {
        if (delay > 0) await pause(delay)
        if (!current()) return false
        // Whoever refreshes right after asking may be faster than the start.
        const found = (await readChat(id)) ?? (await pause(YOUNG_MS).then(() => readChat(id)))
        if (!current()) return false
        setLoading(false)
        const asked = chat.lastMessage
        const arrived = now.current.request === null || now.current.stream !== null || asked?.role !== 'user'
        if (!arrived && !found?.messages.some((message) => message.id === asked.id)) {
          // Only this tab has the question: it stays, to be sent again.
          if (now.current.failure?.failed !== 'asking') fail(STOPPED_UNSENT)
          return false
        }
        now.current.request = null
        if (found === null) {
          clear()
          return false
        }
        setMissing(false)
        setMessages(found.messages)
        if (found.stream === null) {
          const last = found.messages.at(-1)
          setStream(streamOf(last))
          const wrong = await judge(last)
          if (!current()) return false
          fail(wrong)
          return true
        }
        now.current.stream = found.stream
        setStream(found.stream)
        fail(null)
        if (now.current.phase !== 'resuming') announce('An answer is being written. Picking it up.')
        now.current.phase = 'resuming'
        setPhase('resuming')
        await resumeStream()
        // Nothing came: it ended between the two requests, and then the history has it now.
        if (!current() || chat.lastMessage?.role !== 'user' || chat.status !== 'ready') return false
      }
      fail(OUT_OF_REACH)
      return false
    } catch (error) {
      if (!current()) return false
      setLoading(false)
      // A question that did not arrive is still to be sent.
      if (now.current.failure?.failed !== 'asking') fail(failureOf(error, false))
      return false
    } finally {
      if (current()) setPhase('idle')
    }
  }, [chat, clear, fail, id, judge, resumeStream, setMessages])

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
      const unasked = fresh && now.current.stream === null && now.current.request === null
      if (document.visibilityState === 'visible' && navigator.onLine && !unasked) void sync()
    }
    const stopHearing = hear((news, own) => {
      if (own || news.chat !== id) return
      if (news.kind !== 'deleted') return look()
      now.current.looks += 1
      void chat.stop().then(clear)
    })
    document.addEventListener('visibilitychange', look)
    window.addEventListener('online', look)
    return () => {
      stopHearing()
      document.removeEventListener('visibilitychange', look)
      window.removeEventListener('online', look)
    }
  }, [chat, clear, fresh, id, sync])

  const begin = (request: Request) => {
    now.current.looks += 1
    now.current.stream = null
    now.current.request = request
    now.current.phase = 'sending'
    setMissing(false)
    setLoading(false)
    fail(null)
    setPhase('sending')
    setAttempt(1)
    announce('Sent. The answer is being written.')
  }
  const again = () => {
    begin('regenerate')
    void regenerate()
  }
  const retry = async () => {
    const failed = now.current.failure?.failed
    if (failed === 'asking') {
      if (now.current.request === 'regenerate') return again()
      begin('send')
      return sendMessage() // the question as it stands
    }
    if (failed === 'reading') {
      fail(null)
      setLoading(messages.length === 0)
    }
    // Somebody else may have seen to it by now, and what was answered must not be thrown away.
    const quiet = await sync()
    if (quiet && failed === 'answer' && now.current.failure?.failed === 'answer') again()
  }

  const newest = messages.at(-1)
  const known = newest === undefined ? null : (outcomeIn(newest) ?? outcomes[streamOf(newest) ?? ''])
  return {
    messages,
    phase: busy && phase === 'idle' ? 'queued' : phase,
    attempt,
    stream,
    outcomes,
    problem: failure?.problem ?? null,
    busy,
    loading,
    missing,
    over: !busy && failure?.failed !== 'reading' && known?.state !== 'live',
    send: (text) => {
      begin('send')
      void sendMessage({ text })
    },
    stop: async () => {
      now.current.phase = 'stopping'
      setPhase('stopping')
      try {
        if (now.current.stream !== null) return await stopStream(now.current.stream)
        // The start is still on its way: it may have arrived, and then only the server can end it.
        await chat.stop()
        const begun = (await readChat(id))?.stream ?? null
        if (begun !== null) {
          await stopStream(begun)
          now.current.stream = begun
          now.current.asked = chat.lastMessage?.id
        }
        await sync()
      } catch (error) {
        setPhase(busy && now.current.stream !== null ? 'live' : 'idle')
        fail(failureOf(error, false))
      }
    },
    regenerate: again,
    retry: () => void retry(),
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
