import type { Details } from './details.ts'
import { detailsOf } from './details.ts'

/** Instructions, taken apart: what the business wrote, and what the caller of the model knows of this conversation. */
export type Briefing = { business: string; known: Details }

const NOTES = /\n\s*(?:#+\s*)?(?:Facts about this conversation|Summary of the earlier conversation|Conversation summary|Context)\s*:/i
/** What a person of the business adds while the conversation runs. */
const TOLD = /^Note from a colleague[^:\n]*:[^\S\n]*(.+)$/gim
const KNOWN = /^\W*Known (name|email|phone|company|budget):\s*"((?:[^"\\]|\\.){1,300})"/gim

/**
 * Facts and summaries that are appended to the instructions are no answers for customers, but they save a question.
 * The business's own part stays the same from turn to turn, so that studying it can be cached.
 */
export function readBriefing(instructions: string): Briefing {
  const cut = `\n${instructions}`.search(NOTES)
  if (cut === -1) return { business: instructions, known: {} }
  const told = [...instructions.slice(cut).matchAll(TOLD)].map(([, text]) => `\n${text}`).join('')
  const notes = instructions.slice(cut)
  const known: Details = /summary/i.test(notes) ? contactData(notes) : {}
  for (const [, field, value] of notes.matchAll(KNOWN)) known[field!.toLowerCase() as keyof Details] = value!
  return { business: `${instructions.slice(0, Math.max(0, cut - 1))}${told}`, known }
}

function contactData(notes: string): Details {
  const { email, phone } = detailsOf(notes.replace(/^.*\bNow:.*$/gim, ''))
  return { ...(email && { email }), ...(phone && { phone }) }
}
