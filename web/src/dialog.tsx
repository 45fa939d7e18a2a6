/** A modal dialog: the browser's own, which keeps the focus inside and gives it back. */

import { type ReactNode, useEffect, useId, useRef } from 'react'
import { Icon } from './icons'

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const name = useId()
  useEffect(() => {
    const shown = dialog.current
    if (shown && !shown.open) shown.showModal()
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby={name}
      onClose={onClose}
      onClick={(event) => {
        // The dialog's own box is filled by its content: what hits the element itself hit the backdrop.
        if (event.target === dialog.current) dialog.current.close()
      }}
    >
      <div className="sheet">
        <header>
          <h2 id={name}>{title}</h2>
          <button type="button" className="quiet" aria-label="Close" title="Close" onClick={() => dialog.current?.close()}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  )
}
