import { ledger } from '@trunkline/db'
import type { Id } from '@trunkline/core'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { registerSpeech } from './speech.ts'
import { registerTranscriptions } from './transcriptions.ts'
import { registerVoices } from './voices.ts'

/** `onCharged`: what dashboards show of the balance is out of date. */
export type AudioDeps = Pick<ApiDeps, 'db' | 'clock' | 'log' | 'speech'> & { onCharged: (tenantId: Id) => void }

/** One-shot speech: files in, text out; text in, sound out. Calls and sessions are the voice processes'. */
export function registerAudio(app: ApiApp, { db, clock, log, speech, cache }: ApiDeps): void {
  const balances = ledger.createBalances(db, cache)
  const deps: AudioDeps = { db, clock, log, speech, onCharged: (tenantId) => void balances.changed([tenantId]).catch(() => undefined) }
  registerVoices(app, deps)
  registerTranscriptions(app, deps)
  registerSpeech(app, deps)
}
