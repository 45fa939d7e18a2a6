import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { config } from 'zod'
import { App } from './app'
import './styles/base.css'
import './styles/frame.css'
import './styles/thread.css'
import './styles/prose.css'
import './styles/dialog.css'

// The schemas of the AI SDK would otherwise try to compile themselves, which the content security policy refuses.
config({ jitless: true })

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root.')
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
