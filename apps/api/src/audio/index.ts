import { ledger } from '@trunkline/db'
import type { ApiApp, ApiDeps } from '../deps.ts'
import type { AudioDeps } from './deps.ts'
import { registerSpeech } from './speech.ts'
import { registerTranscriptions } from './transcriptions.ts'
import { registerVoices } from './voices.ts'

/** One-shot speech: files in, text out; text in, sound out. Calls and sessions are the voice processes'. */
export function registerAudio(app: ApiApp, { db, keyring, clock, log, speech, cache }: ApiDeps): void {
  const balances = ledger.createBalances(db, cache)
  const deps: AudioDeps = { db, keyring, clock, log, speech, onCharged: (tenantId) => void balances.changed([tenantId]).catch(() => undefined) }
  registerVoices(app, deps)
  registerTranscriptions(app, deps)
  registerSpeech(app, deps)
}
