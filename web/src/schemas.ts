/** The AI SDK's schemas would try to compile themselves, which the content security policy refuses: they need not. */

import { config } from 'zod'

config({ jitless: true })
