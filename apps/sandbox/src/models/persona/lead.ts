import type { Turn } from '../transcript.ts'
import type { Line } from './archive.ts'
import { linesOf } from './archive.ts'
import type { DetailKey, Details } from './details.ts'
import { askedBefore, detailsOf, learn } from './details.ts'
import { findTime } from './when.ts'

export type FoundLead = {
  name: string | null
  email: string | null
  phone: string | null
  company: string | null
  intent: string | null
  urgency: 'low' | 'medium' | 'high' | null
  budget: string | null
  fit: 'poor' | 'fair' | 'good' | 'excellent' | null
  engagement: 'low' | 'medium' | 'high' | null
  demoTime: string | null
  notification: string | null
  summary: string
  evidence: string[]
}

const HIGH = /\b(?:urgent(?:ly)?|asap|as soon as possible|immediately|right away|right now|emergency|today|tonight|tomorrow|this week)\b/i
const LOW = /\b(?:no rush|not urgent|no hurry|just (?:browsing|looking|curious)|some ?day|next year|whenever|eventually)\b/i
const MEDIUM = /\b(?:soon|this month|next (?:week|month)|in (?:a few|two|three) weeks|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b/i
const MEETING = /\b(?:demo|appointment|meeting|call|visit|viewing|consultation|schedule|book|slot|reserv\w+)\b/i
const WISH = /\b(?:i(?:'d| would) (?:like|love) to|i want to|i need to|we(?:'d| would) like to|we (?:want|need) to|can i|could i|may i|i(?:'d| would) like|i want|i need|we need|we want|(?:i'?m|i am|we are|we're) (?:looking|searching) for|looking for|(?:i'?m|i am|we are|we're) interested in|interested in)\s+([^.?!\n]{3,200})/i

const QUESTION = /[^.!?\n]{8,200}\?/
const SALUTATION = /^\s*(?:hi|hello|hey|good (?:morning|afternoon|evening))\b[\s,!.]*/i

/** What a conversation tells about a lead, by pattern. */
export function findLead(turns: readonly Turn[], instructions: string): FoundLead {
  const lines = linesOf(turns)
  const said = lines.filter(({ role }) => role === 'user')
  const text = said.map((line) => line.text).join('\n')
  const details = learn(lines)
  const { intent, line: asked } = intentOf(said)
  const urgency: FoundLead['urgency'] = LOW.test(text) ? 'low' : HIGH.test(text) ? 'high' : MEDIUM.test(text) ? 'medium' : null
  const demoTime = MEETING.test(text) ? (findTime(text, nowOf(`${instructions}\n${turns[0]?.text ?? ''}`)) ?? null) : null
  const { name = null, email = null, phone = null, company = null, budget = null } = details
  const lead = { name, email, phone, company, budget, intent, urgency, demoTime, fit: fitOf(details, intent), engagement: engagementOf(said) }
  return { ...lead, notification: notificationOf(lead), summary: summaryOf(lead), evidence: evidenceOf(lines, asked) }
}

/** A clock that the prompt gives ("Current time: ...") keeps "tomorrow" true for old archives. */
function nowOf(text: string): Date {
  const given = /(?:now|today|current (?:date|time)|time)\D{0,20}(\d{4}-\d{2}-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?)/i.exec(text)?.[1]
  const date = given ? new Date(given) : new Date()
  return Number.isNaN(date.getTime()) ? new Date() : date
}

/** A wish before a question; the line says where it was found. */
function intentOf(said: readonly Line[]): { intent: string | null; line: Line | null } {
  for (const line of said) {
    const wish = WISH.exec(line.text)?.[1]
    if (wish) return { intent: sentence(wish), line }
  }
  for (const line of said) {
    const question = QUESTION.exec(line.text)?.[0]
    if (question) return { intent: sentence(question.replace(SALUTATION, '')), line }
  }
  return { intent: null, line: null }
}

const sentence = (text: string): string => text.trim().replace(/^./u, (first) => first.toUpperCase()).slice(0, 300)

function fitOf({ company, budget, email, phone }: Details, intent: string | null): FoundLead['fit'] {
  if (!intent) return null
  const points = [company, budget, email ?? phone].filter(Boolean).length
  return (['poor', 'fair', 'good', 'excellent'] as const)[points]!
}

function engagementOf(said: readonly Line[]): FoundLead['engagement'] {
  if (said.length === 0) return null
  return said.length >= 6 ? 'high' : said.length >= 3 ? 'medium' : 'low'
}

type Told = Omit<FoundLead, 'notification' | 'summary' | 'evidence'>

function notificationOf(lead: Told): string | null {
  if (!lead.intent && !lead.email && !lead.phone) return null
  const reach = lead.email ?? lead.phone
  return `${summaryOf(lead)}${reach ? ` Reach them at ${reach}.` : ''}`
}

function summaryOf({ name, company, intent, urgency, budget, demoTime }: Told): string {
  const who = `${name ?? 'A customer'}${company ? ` (${company})` : ''}`
  const extras = [urgency === 'high' && 'urgent', budget && `budget ${budget}`, demoTime && `time ${demoTime}`].filter(Boolean).join(', ')
  return `${who} ${intent ? `asked: ${lowerFirst(intent)}` : 'got in touch'}${extras ? ` (${extras})` : ''}.`.replace(/\?\./, '?')
}

const lowerFirst = (text: string): string => (/^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text)

const carries = (text: string, asked: DetailKey | null): boolean => Object.keys(detailsOf(text, asked)).length > 0 || WISH.test(text) || findTime(text, new Date()) !== undefined

/** Ids of the lines that carry the intent, a detail, a wish or a time. */
function evidenceOf(lines: readonly Line[], asked: Line | null): string[] {
  return lines.flatMap((line, index) => (line.id !== undefined && line.role === 'user' && (line === asked || carries(line.text, askedBefore(lines, index))) ? [line.id] : []))
}
