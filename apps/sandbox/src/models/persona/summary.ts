import type { Transcript } from '../transcript.ts'
import { linesOf } from './archive.ts'
import { findLead } from './lead.ts'

/** A short summary that keeps what a successor needs: who, what they want, how to reach them, the last words. */
export function summarise({ turns, instructions }: Transcript): string {
  const lead = findLead(turns, instructions)
  const reach = [lead.email && `e-mail ${lead.email}`, lead.phone && `phone ${lead.phone}`, lead.company && `company ${lead.company}`].filter(Boolean).join(', ')
  const last = linesOf(turns).findLast(({ role }) => role === 'user')?.text.slice(0, 200)
  return [lead.summary, reach && `Known: ${reach}.`, last && `The customer's last words: "${last}"`].filter(Boolean).join(' ')
}
