import type { LeadFields } from '@trunkline/core'
import type { HistoryItem } from '../history.ts'
import { gather } from './gather.ts'
import { plain } from './wishes.ts'

const URGENT = /\b(asap|urgent(ly|e|emente)?|emergency|immediately|right away|today|dringend|sofort|notfall|heute noch|urgente|cuanto antes|inmediatamente|hoy mismo|d'urgence|tout de suite|immediatement|subito|emergenza|imediatamente|o quanto antes)\b/
const RELAXED = /\b(no (rush|hurry)|whenever|just (looking|browsing)|keine eile|irgendwann|hat zeit|sin prisa|pas presse|senza fretta|sem pressa)\b/
const AMOUNT = /(?:(?:€|\$|£|eur|usd|gbp|chf)\s?\d[\d.,' ]*\d?\s?k?|\d[\d.,' ]*k?\s?(?:€|\$|£|eur(?:os?)?\b|usd\b|gbp\b|chf\b|dollars?\b|pounds?\b|k\b))/i
const BUDGET_WORD = /\b(budget|spend|ausgeben|presupuesto|gastar|depenser|spendere|orcamento)\b/
const COMPANY = /(?:\b(?:company|firma|unternehmen|empresa|entreprise|soci[eé]t[eé]|azienda)(?: is| heißt| heisst| se llama| s['’]appelle| si chiama)?:?|\b(?:work (?:at|for)|arbeite (?:bei|für)|trabajo en|trabalho n[ao]|travaille chez|lavoro (?:per|da)|calling from|writing from|from|von der(?: firma)?|de la empresa))\s+((?:\p{Lu}|\d)[\p{L}\d&.'-]*(?:\s(?:(?:\p{Lu}|\d)[\p{L}\d&.'-]*|&|und|and|of)){0,4})/u
const COMPANY_FORM = /((?:\p{Lu}[\p{L}\d&.'-]*\s){1,4}(?:GmbH|AG|UG|KG|Ltd\.?|Limited|Inc\.?|LLC|Corp\.?|SA|S\.A\.|SL|S\.L\.|SARL|SAS|S\.r\.l\.|SpA|S\.p\.A\.|Lda\.?))(?=[\s,.;!?]|$)/u

type Found = { value: string; messageId: string }

/** A lead without a model: less depth (no fit, no appointment time), same shape, evidence by message. */
export function extractLeadByRules(messages: readonly HistoryItem[]): LeadFields {
  const customer = messages.filter((message) => message.role === 'customer')
  const { facts } = gather(messages)
  const company = firstMatch(customer, companyOf)
  const budget = firstMatch(customer, budgetOf)
  const urgency = firstMatch(customer.toReversed(), urgencyOf)
  const evidence = [facts.name, facts.email, facts.phone, facts.intent, company, budget, urgency].flatMap((fact) => (fact ? [fact.messageId] : []))
  const lead: LeadFields = {
    name: facts.name?.value ?? null,
    email: facts.email?.value ?? null,
    phone: facts.phone?.value ?? null,
    company: company?.value ?? null,
    intent: facts.intent?.value ?? null,
    urgency: (urgency?.value as LeadFields['urgency']) ?? null,
    budget: budget?.value ?? null,
    fit: null,
    engagement: engagementOf(customer.length),
    demoDatetime: null,
    smartNotification: null,
    evidenceMessageIds: [...new Set(evidence)].slice(0, 100),
  }
  return { ...lead, smartNotification: notificationOf(lead) }
}

function firstMatch(messages: readonly HistoryItem[], find: (text: string) => string | null): Found | null {
  for (const message of messages) {
    const value = find(message.text.slice(0, 4_000))
    if (value) return { value, messageId: message.messageId }
  }
  return null
}

const companyOf = (text: string) => (COMPANY_FORM.exec(text)?.[1] ?? COMPANY.exec(text)?.[1])?.trim().replace(/[.,]+$/, '').slice(0, 255) ?? null
const budgetOf = (text: string) => (BUDGET_WORD.test(plain(text)) ? (AMOUNT.exec(text)?.[0].trim() ?? null) : null)

function urgencyOf(text: string): string | null {
  const line = plain(text)
  if (RELAXED.test(line)) return 'low'
  return URGENT.test(line) ? 'high' : null
}

const engagementOf = (messages: number): LeadFields['engagement'] => (messages === 0 ? null : messages < 2 ? 'low' : messages < 5 ? 'medium' : 'high')

function notificationOf(lead: LeadFields): string | null {
  const reach = [lead.email, lead.phone].filter(Boolean).join(', ')
  const who = lead.name ?? (reach ? 'A customer' : null)
  if (!who && !lead.intent) return null
  return `${who ?? 'A customer'}${reach ? ` (${reach})` : ''} ${lead.intent ? `asks: ${lead.intent}` : 'wants to be contacted.'}`.slice(0, 1_000)
}
