import type { Turn } from '../transcript.ts'

/** A line of a conversation that is given as text, as lead extraction and summaries get it. */
export type Line = Turn & { id?: string }

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i
const CUSTOMER = 'customer|user|visitor|contact|caller|client|lead|human'
const OURS = 'agent|assistant|bot|receptionist|business|ai|us|operator|colleague|outbound|system'
const SPOKEN = new RegExp(`^(.{0,90}?)\\b(${CUSTOMER}|${OURS}|inbound)\\b((?:\\s*[([][^)\\]]{0,80}[)\\]])?[^:([]{0,40}):\\s?(.*)$`, 'i')

/** The conversation inside the turns: lines of a pasted archive when there are any, else the turns themselves. */
export function linesOf(turns: readonly Turn[]): Line[] {
  const text = turns.filter(({ role }) => role === 'user').map((turn) => turn.text).join('\n')
  const pasted = jsonLines(text) ?? spokenLines(text)
  return pasted.some(({ role }) => role === 'user') ? pasted : turns.map((turn) => ({ ...turn }))
}

function spokenLines(text: string): Line[] {
  const lines: Line[] = []
  for (const raw of text.split('\n')) {
    const match = SPOKEN.exec(raw)
    if (!match) {
      if (lines.length > 0 && raw.trim()) lines.at(-1)!.text += `\n${raw}`
      continue
    }
    const id = UUID.exec(`${match[1]} ${match[3]}`)?.[0]
    lines.push({ role: roleOf(match[2]!), text: match[4]!, ...(id === undefined ? {} : { id }) })
  }
  return lines
}

const roleOf = (word: string): Turn['role'] => (new RegExp(`^(?:${CUSTOMER}|inbound)$`, 'i').test(word) ? 'user' : 'assistant')

/** A JSON array of messages, or one JSON object a line. */
function jsonLines(text: string): Line[] | null {
  const start = text.indexOf('[{')
  const whole = start === -1 ? null : parse(text.slice(start, text.lastIndexOf(']') + 1))
  const items = Array.isArray(whole) ? whole : text.split('\n').filter((line) => line.startsWith('{')).map(parse)
  const lines = items.flatMap(lineOf)
  return lines.length > 0 ? lines : null
}

function lineOf(item: unknown): Line[] {
  if (typeof item !== 'object' || item === null) return []
  const fields = item as Record<string, unknown>
  const text = fields.text ?? fields.content ?? fields.message ?? fields.body
  const who = fields.role ?? fields.from ?? fields.author ?? fields.sender ?? fields.speaker ?? fields.direction
  const id = fields.id ?? fields.message_id ?? fields.messageId
  if (typeof text !== 'string' || typeof who !== 'string') return []
  return [{ role: roleOf(who), text, ...(typeof id === 'string' ? { id } : {}) }]
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
