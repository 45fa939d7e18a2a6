/** The page: the list beside the open conversation, or one of the two views that a link opens. */

import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useAnnounced } from './announce'
import { type ChatEntry, deleteChat, listChats, Problem } from './api'
import { Claim } from './claim'
import { Dialog } from './dialog'
import { Icon } from './icons'
import { DeviceDialog, ShareDialog } from './links'
import { go, newChatId, usePlace } from './place'
import { Shared } from './shared'
import { Sidebar } from './sidebar'
import { hear, tell } from './tabs'
import { useTheme } from './theme'
import { Thread } from './thread'
import { headOf } from './trouble'

/** Where the list is a drawer, as in styles/frame.css. */
const NARROW = '(max-width: 820px)'

export function App() {
  const place = usePlace()
  const said = useAnnounced()
  return (
    <>
      {place.at === 'share' ? (
        <Shared key={place.stream} stream={place.stream} token={place.token} />
      ) : place.at === 'link' ? (
        <Claim key={place.code} code={place.code} />
      ) : (
        <Desk chat={place.chat} />
      )}
      <p className="unseen" role="status" aria-live="polite">
        {said}
      </p>
    </>
  )
}

interface List {
  chats: ChatEntry[]
  more: boolean
  failed: string | null
}

/** The conversations, kept up to date by what this browser's tabs tell each other. */
function useChats(): List & { older: () => void; reload: () => Promise<ChatEntry[]> } {
  const [list, setList] = useState<List>({ chats: [], more: false, failed: null })
  const reload = useCallback(async () => {
    try {
      const found = await listChats()
      setList({ ...found, failed: null })
      return found.chats
    } catch (error) {
      const failed = error instanceof Problem ? headOf(error) : 'The list could not be loaded'
      setList((known) => ({ ...known, failed }))
      return []
    }
  }, [])
  const older = async () => {
    const last = list.chats.at(-1)
    if (last === undefined) return
    try {
      const found = await listChats(last.updated_at)
      setList((known) => ({ chats: [...known.chats, ...found.chats], more: found.more, failed: null }))
    } catch (error) {
      if (error instanceof Problem) setList((known) => ({ ...known, failed: headOf(error) }))
    }
  }
  useEffect(() => {
    const look = () => {
      if (document.visibilityState === 'visible') void reload()
    }
    const stopHearing = hear(look)
    document.addEventListener('visibilitychange', look)
    window.addEventListener('online', look)
    return () => {
      stopHearing()
      document.removeEventListener('visibilitychange', look)
      window.removeEventListener('online', look)
    }
  }, [reload])
  return { ...list, older: () => void older(), reload }
}

function Desk({ chat }: { chat: string | null }) {
  const list = useChats()
  const [theme, flip] = useTheme()
  const [drawer, setDrawer] = useState(false)
  const [stream, setStream] = useState<string | null>(null)
  const [shown, setShown] = useState<'share' | 'device' | null>(null)
  const [doomed, setDoomed] = useState<ChatEntry | null>(null)
  /** The conversation that begins with the next question; another one for every visit of the empty page. */
  const [draft, setDraft] = useState(newChatId)
  const [begun, setBegun] = useState<ReadonlySet<string>>(new Set())
  const booted = useRef(false)
  const menu = useRef<HTMLButtonElement>(null)
  const drawn = useRef<HTMLElement>(null)
  const { reload } = list

  useEffect(() => {
    if (booted.current) return
    booted.current = true
    // Whoever comes back while an answer is being written wants to see it.
    void reload().then((chats) => {
      const live = chats.find((each) => each.stream !== null)
      // Whoever writes a question meanwhile wants to ask it.
      const field = document.querySelector<HTMLTextAreaElement>('#question')
      const here = chat === null && location.search === '' && !field?.value
      if (live !== undefined && here) go(live.id, { replace: true })
    })
  }, [chat, reload])

  // Back on the empty page, the next question begins another conversation.
  if (chat === null && begun.has(draft)) setDraft(newChatId())
  const id = chat ?? draft

  const title = useMemo(() => list.chats.find((each) => each.id === id)?.title ?? '', [id, list.chats])
  useEffect(() => {
    document.title = title === '' ? 'Holdfast' : `${title} · Holdfast`
  }, [title])

  useEffect(() => {
    if (!drawer) return
    drawn.current?.querySelector('a')?.focus()
    const close = (event: KeyboardEvent) => {
      // A dialog above the drawer is closed alone.
      if (event.key === 'Escape' && document.querySelector('dialog[open]') === null) setDrawer(false)
    }
    // On a screen that became wide the list is no drawer, and nothing would be left that closes it.
    const narrow = matchMedia(NARROW)
    const widen = () => setDrawer(narrow.matches)
    window.addEventListener('keydown', close)
    narrow.addEventListener('change', widen)
    return () => {
      window.removeEventListener('keydown', close)
      narrow.removeEventListener('change', widen)
      // By now it is not inert any more. A conversation that was chosen takes the focus after this.
      menu.current?.focus()
    }
  }, [drawer])

  const begin = () => {
    if (chat !== null) return
    setBegun(new Set([...begun, id]))
    go(id)
  }
  const remove = async (entry: ChatEntry) => {
    await deleteChat(entry.id)
    setDoomed(null)
    tell({ kind: 'deleted', chat: entry.id })
    if (entry.id === id) go(null, { replace: true })
  }
  return (
    <div className="desk" data-drawer={drawer}>
      <a className="skip" href="#question" inert={drawer}>
        Skip to the question field
      </a>
      <aside ref={drawn} className="side" id="side" aria-label="Conversations and settings">
        <button
          type="button"
          className="quiet shut"
          aria-label="Hide the conversations"
          title="Hide the conversations"
          onClick={() => setDrawer(false)}
        >
          <Icon name="close" />
        </button>
        <Sidebar
          {...list}
          current={chat}
          onMore={list.older}
          onDelete={setDoomed}
          onChosen={() => setDrawer(false)}
        />
      </aside>
      <button type="button" className="veil" tabIndex={-1} aria-hidden="true" onClick={() => setDrawer(false)} />
      {/* Below the drawer nothing is to be reached: the keyboard stays in it until it is closed. */}
      <main inert={drawer}>
        <header className="bar">
          <button
            type="button"
            ref={menu}
            className="quiet menu"
            aria-label="Show the conversations"
            aria-expanded={drawer}
            aria-controls="side"
            onClick={() => setDrawer(true)}
          >
            <Icon name="menu" />
          </button>
          <h1>{title || 'New chat'}</h1>
          <span className="tools">
            <button
              type="button"
              className="quiet"
              disabled={stream === null}
              aria-label="Share the newest answer"
              title="Share the newest answer"
              onClick={() => setShown('share')}
            >
              <Icon name="share" />
            </button>
            <button
              type="button"
              className="quiet"
              aria-label="Go on with another device"
              title="Go on with another device"
              onClick={() => setShown('device')}
            >
              <Icon name="device" />
            </button>
            <button
              type="button"
              className="quiet"
              aria-label={theme === 'dark' ? 'Light theme' : 'Dark theme'}
              title={theme === 'dark' ? 'Light theme' : 'Dark theme'}
              onClick={flip}
            >
              <Icon name={theme === 'dark' ? 'sun' : 'moon'} />
            </button>
          </span>
        </header>
        <Thread key={id} id={id} fresh={chat === null} onBegin={begin} onStream={setStream} />
      </main>
      {shown === 'share' && stream !== null ? <ShareDialog stream={stream} onClose={() => setShown(null)} /> : null}
      {shown === 'device' ? <DeviceDialog onClose={() => setShown(null)} /> : null}
      {doomed !== null ? <Delete entry={doomed} onClose={() => setDoomed(null)} onDelete={remove} /> : null}
    </div>
  )
}

interface DeleteProps {
  entry: ChatEntry
  onClose: () => void
  onDelete: (entry: ChatEntry) => Promise<void>
}

function Delete({ entry, onClose, onDelete }: DeleteProps) {
  const [failed, setFailed] = useState('')
  const remove = () => {
    onDelete(entry).catch((error: unknown) => {
      setFailed(error instanceof Problem ? error.message : 'It could not be deleted. Try again.')
    })
  }
  return (
    <Dialog title="Delete this conversation?" onClose={onClose}>
      <p>“{entry.title || 'Untitled'}” is deleted for good, on every device.{entry.stream === null ? '' : ' Its answer is stopped.'}</p>
      {failed === '' ? null : <p role="alert">{failed}</p>}
      <div className="choices">
        <button type="button" className="button" onClick={onClose}>
          Keep it
        </button>
        <button type="button" className="button danger" onClick={remove}>
          Delete
        </button>
      </div>
    </Dialog>
  )
}
