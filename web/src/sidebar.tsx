/** The list of conversations, newest first, with those that are being answered marked. */

import type { ChatEntry } from './api'
import { Icon, Mark } from './icons'
import { addressOf, go } from './place'

interface Props {
  chats: ChatEntry[]
  more: boolean
  current: string | null
  /** Why the list could not be had, if it could not. */
  failed: string | null
  onMore: () => void
  onDelete: (chat: ChatEntry) => void
  onChosen: () => void
}

const DAY_MS = 86_400_000

function groupOf(at: number, today: number): string {
  if (at >= today) return 'Today'
  if (at >= today - DAY_MS) return 'Yesterday'
  return at >= today - 7 * DAY_MS ? 'This week' : 'Earlier'
}

/** The conversations under the words for their days. */
export function grouped(chats: ChatEntry[], now = new Date()): [string, ChatEntry[]][] {
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime()
  const groups = new Map<string, ChatEntry[]>()
  for (const chat of chats) {
    const name = groupOf(chat.updated_at, today)
    groups.set(name, [...(groups.get(name) ?? []), chat])
  }
  return [...groups]
}

export function Sidebar({ chats, more, current, failed, onMore, onDelete, onChosen }: Props) {
  const open = (event: React.MouseEvent, chat: string | null) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
    event.preventDefault()
    go(chat)
    onChosen()
  }
  return (
    <>
      <p className="brand">
        <Mark />
        Holdfast
      </p>
      <a className="new" href="/" onClick={(event) => open(event, null)}>
        <Icon name="plus" />
        New chat
      </a>
      <nav aria-label="Conversations">
        {failed !== null ? <p className="hint">{failed}</p> : null}
        {chats.length === 0 && failed === null ? <p className="hint">Your conversations will be listed here.</p> : null}
        {grouped(chats).map(([name, members]) => (
          <section key={name}>
            <h2>{name}</h2>
            <ul>
              {members.map((chat) => (
                <li key={chat.id} data-current={chat.id === current}>
                  <a
                    href={addressOf(chat.id)}
                    aria-current={chat.id === current ? 'page' : undefined}
                    onClick={(event) => open(event, chat.id)}
                  >
                    {chat.stream === null ? null : <span className="pulse" role="img" aria-label="Being answered" />}
                    <span className="title">{chat.title || 'Untitled'}</span>
                  </a>
                  <button
                    type="button"
                    className="quiet"
                    aria-label={`Delete “${chat.title || 'Untitled'}”`}
                    title="Delete"
                    onClick={() => onDelete(chat)}
                  >
                    <Icon name="bin" />
                  </button>
                </li>
              ))}
            </ul>
          </section>
        ))}
        {more ? (
          <button type="button" className="button more" onClick={onMore}>
            Show more
          </button>
        ) : null}
      </nav>
    </>
  )
}
