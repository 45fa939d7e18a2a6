/** The two links that a person can give away: a read-only one to an answer, and one that makes a device theirs. */

import { lazy, Suspense, useEffect, useState } from 'react'
import { linkDevice, Problem, shareStream, unshareStream } from './api'
import { CopyButton } from './copy'
import { Dialog } from './dialog'
import { headOf } from './trouble'

const Qr = lazy(() => import('./qr'))

interface Made {
  url: string
  until: Date
}

const asProblem = (error: unknown, otherwise: string) =>
  error instanceof Problem ? error : new Problem(0, 'link_failed', otherwise)

/** Makes a link when the dialog opens. The server's answer names this page as it is reached from elsewhere. */
function useMade(make: () => Promise<Made>): { made: Made | null; problem: Problem | null; again: () => void } {
  const [made, setMade] = useState<Made | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [round, setRound] = useState(0)
  useEffect(() => {
    let current = true
    setMade(null)
    setProblem(null)
    make().then(
      (found) => current && setMade(found),
      (error: unknown) => current && setProblem(asProblem(error, 'The link could not be made. Try again.')),
    )
    return () => {
      current = false
    }
    // The maker is a new function at every rendering; only a new round makes another link.
  }, [round])
  return { made, problem, again: () => setRound((number) => number + 1) }
}

function Link({ made, label }: { made: Made; label: string }) {
  return (
    <div className="link">
      <Suspense fallback={<span className="qr" />}>
        <Qr text={made.url} label={`QR code of the ${label}`} />
      </Suspense>
      <div>
        <input readOnly value={made.url} aria-label={label} onFocus={(event) => event.target.select()} />
        <CopyButton wide text={() => made.url} label="Copy link" />
      </div>
    </div>
  )
}

function Failed({ problem, onRetry }: { problem: Problem; onRetry: () => void }) {
  return (
    <div className="trouble" role="alert">
      <p className="head">{headOf(problem)}</p>
      <p>{problem.message}</p>
      <button type="button" className="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  )
}

export function ShareDialog({ stream, onClose }: { stream: string; onClose: () => void }) {
  const [revoked, setRevoked] = useState(false)
  /** Why the links could not be withdrawn. */
  const [kept, setKept] = useState<Problem | null>(null)
  const { made, problem, again } = useMade(async () => {
    const { token, expires_at } = await shareStream(stream)
    return { url: `${location.origin}/#share=${stream}.${token}`, until: new Date(expires_at) }
  })
  const revoke = async () => {
    setKept(null)
    try {
      await unshareStream(stream)
      setRevoked(true)
    } catch (error) {
      setKept(asProblem(error, 'The links could not be withdrawn. Try again.'))
    }
  }
  return (
    <Dialog title="Share this answer" onClose={onClose}>
      <p>Whoever has this link can read the newest answer while it is written and afterwards. They cannot ask, stop or see anything else.</p>
      {problem !== null ? <Failed problem={problem} onRetry={again} /> : null}
      {revoked ? <p role="status">Every link to this answer has been withdrawn.</p> : null}
      {made !== null && !revoked ? (
        <>
          <Link made={made} label="link to this answer" />
          <p className="hint">Good until {made.until.toLocaleString()}.</p>
          {kept !== null ? (
            <Failed problem={kept} onRetry={() => void revoke()} />
          ) : (
            <button type="button" className="button" onClick={() => void revoke()}>
              Withdraw every link to this answer
            </button>
          )}
        </>
      ) : null}
    </Dialog>
  )
}

export function DeviceDialog({ onClose }: { onClose: () => void }) {
  const { made, problem, again } = useMade(async () => {
    const { code, expires_at } = await linkDevice()
    return { url: `${location.origin}/#link=${code}`, until: new Date(expires_at) }
  })
  return (
    <Dialog title="Go on with another device" onClose={onClose}>
      <p>Open this link on the other device, or point its camera at the code. It will see and go on with all of your conversations.</p>
      {problem !== null ? <Failed problem={problem} onRetry={again} /> : null}
      {made !== null ? (
        <>
          <Link made={made} label="link for another device" />
          <p className="hint">Works once, until {made.until.toLocaleTimeString()}. Give it to nobody else.</p>
        </>
      ) : null}
    </Dialog>
  )
}
