import { findLead } from './persona/lead.ts'
import { receptionist } from './persona/receptionist.ts'
import { fillSchema } from './persona/schema.ts'
import { summarise } from './persona/summary.ts'
import { chooseCalls } from './persona/tool-use.ts'
import type { ModelAnswer, Transcript } from './transcript.ts'

/** The sandbox's whole intelligence. Deterministic and offline; never more than a fraction of a millisecond. */
export function think(transcript: Transcript): ModelAnswer {
  const calls = chooseCalls(transcript)
  if (calls.length > 0) return { text: '', calls }
  if (transcript.schema) return { text: JSON.stringify(fillSchema(transcript.schema, findLead(transcript.turns, transcript.instructions))), calls: [] }
  if (asksForSummary(transcript)) return { text: summarise(transcript), calls: [] }
  return { text: receptionist(transcript), calls: [] }
}

/** Context compression: the instructions ask for a summary of a conversation. */
const asksForSummary = ({ instructions, turns }: Transcript): boolean =>
  /^\W*(?:please )?(?:summari[sz]e|compress|condense|you (?:summari[sz]e|compress|condense)|write a (?:short )?summary)/i.test(instructions) || /^\W*(?:please )?summari[sz]e (?:the|this)\b/i.test(turns.at(-1)?.text ?? '')
