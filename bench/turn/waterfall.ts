import type { Sighting } from '../calls/line.ts'
import type { NoteKind } from '../calls/vendors/notes.ts'

/** Of the journal: milliseconds of the call. */
export type TurnEvent = { speechEndMs: number; endpointMs: number; firstSentMs: number | null; firstHeardMs: number | null }

/**
 * Where the time of one answer went, milliseconds. The parts from `wayIn` to `wayOut` follow each other; `own` is those that are ours.
 * `detected` runs beside them: from the last sound to the moment at which our own detector said that it is silent.
 */
export type Waterfall = Record<'detected' | 'wayIn' | 'final' | 'wait' | 'ask' | 'firstToken' | 'firstPiece' | 'endpoint' | 'speak' | 'firstSound' | 'wayOut' | 'mark' | 'own' | 'whole', number>

/**
 * The line's and the suppliers' times are of one clock; the journal's count from the call's opening, and the first frame, which both saw, ties
 * them together. Null: something of the turn was not seen.
 */
export function waterfallOf({ spokenMs, answerMs }: Sighting, notes: Partial<Record<NoteKind, number>>, event: TurnEvent): Waterfall | null {
  const { heard, final, asked, token, piece, speak, sound } = notes
  if (spokenMs === undefined || answerMs === undefined || event.firstSentMs === null || event.firstHeardMs === null) return null
  if (heard === undefined || final === undefined || asked === undefined || token === undefined || piece === undefined || speak === undefined || sound === undefined) return null
  const endpointMs = answerMs - (event.firstSentMs - event.endpointMs)
  // Asked before the end of the turn was certain: then nothing but the final was waited for.
  const mayAskMs = asked < endpointMs ? final : Math.max(final, endpointMs)
  const maySpeakMs = Math.max(piece, endpointMs)
  const own = { wayIn: heard - spokenMs, ask: asked - mayAskMs, speak: speak - maySpeakMs, wayOut: answerMs - sound }
  return {
    ...own,
    detected: endpointMs - (event.endpointMs - event.speechEndMs) - spokenMs,
    final: final - heard, wait: mayAskMs - final, firstToken: token - asked, firstPiece: piece - token, endpoint: maySpeakMs - piece, firstSound: sound - speak,
    mark: event.firstHeardMs - event.firstSentMs,
    own: own.wayIn + own.ask + own.speak + own.wayOut,
    whole: answerMs - spokenMs,
  }
}
