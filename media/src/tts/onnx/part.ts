import { SpeechError } from '../../stt/contract.ts'
import type { SpeechFailure } from '../../stt/contract.ts'
import { LOCAL_DEADLINES, type VoicePart } from '../part.ts'

/** What all voices have in common that are computed here: pieces one after another, because they share the cores. */
export const localPart: Pick<VoicePart, 'ahead' | 'spokenForm' | 'deadlines' | 'failure'> = {
  ahead: 0,
  // Espeak, which reads the text for them, reads numbers by itself.
  spokenForm: { contacts: true, numbers: false },
  // The sound of a piece comes at once, when it is finished.
  deadlines: { ...LOCAL_DEADLINES, openMs: 20_000 },
  failure: (error): SpeechFailure => (error instanceof SpeechError ? error.failure : { code: 'unavailable', message: 'The local voice failed', requestId: null }),
}
