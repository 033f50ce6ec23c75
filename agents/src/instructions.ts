import { AppError } from '@trunkline/core'
import type { PromptContent } from '@trunkline/core'
import { AddressRefused, checkUrl } from './net/address.ts'
import type { NetworkPolicy } from './net/address.ts'
import { openingFault } from './rules/hours.ts'
import { schemaFault } from './tools/schema.ts'

/** Filled by us when a prompt names them and has no variable of that name. */
export const BUILT_IN_VARIABLES = ['business_name', 'channel', 'contact_name', 'date', 'time'] as const

export type ConversationFacts = { channel?: string; contactName?: string; known?: Record<string, string>; nowMs: number }

const PLACEHOLDER = /\{\{\s*([a-zA-Z_]\w{0,63})\s*\}\}/g

export function fillVariables(template: string, variables: Record<string, string>): string {
  return template.replace(PLACEHOLDER, (placeholder, name: string) => variables[name] ?? placeholder)
}

export function variablesOf(content: PromptContent, facts: ConversationFacts): Record<string, string> {
  const { date, time } = localTime(content, facts.nowMs)
  return {
    business_name: content.rules.businessName ?? '',
    channel: facts.channel ?? '',
    contact_name: oneLine(facts.contactName ?? ''),
    date,
    time,
    ...content.variables,
  }
}

/** The tenant's text first and unchanged from turn to turn, then facts from lasting to fleeting: what vendors cache is the common beginning. */
export function buildInstructions(content: PromptContent, facts: ConversationFacts): string {
  const known = Object.entries(facts.known ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  const { date, time, timeZone } = localTime(content, facts.nowMs)
  const lines = [
    facts.channel ? `- Channel: ${oneLine(facts.channel)}` : '',
    facts.contactName ? `- The customer's name, as their app gives it: ${JSON.stringify(oneLine(facts.contactName))}` : '',
    ...known.map(([field, value]) => `- Known ${field}: ${JSON.stringify(oneLine(value))}`),
    `- Now: ${date}, ${time} (${timeZone})`,
  ]
  return `${fillVariables(content.instructions, variablesOf(content, facts))}\n\nFacts about this conversation:\n${lines.filter(Boolean).join('\n')}`
}

/** Customers choose their names: one line, so that a name cannot pose as an instruction block. */
const oneLine = (text: string) => text.replace(/[\s\p{C}]+/gu, ' ').trim().slice(0, 120)

const formats = new Map<string, Intl.DateTimeFormat>()

function localTime(content: PromptContent, nowMs: number): { date: string; time: string; timeZone: string } {
  const timeZone = content.rules.openingHours?.timeZone ?? 'UTC'
  const parts = Object.fromEntries(formatFor(timeZone).formatToParts(nowMs).map((part) => [part.type, part.value]))
  return { date: `${parts.weekday} ${parts.year}-${parts.month}-${parts.day}`, time: `${parts.hour}:${parts.minute}`, timeZone }
}

/** Building a format costs ~50 µs, using one ~2. An unknown zone falls back to UTC: a turn must not die of it. */
function formatFor(timeZone: string): Intl.DateTimeFormat {
  const found = formats.get(timeZone)
  if (found) return found
  const options = { weekday: 'long', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-GB', { ...options, timeZone })
  } catch {
    format = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC' })
  }
  if (formats.size < 500) formats.set(timeZone, format)
  return format
}

/** Something in a prompt that would fail later, and where. */
export type PromptFault = { param: string; message: string }

/** All faults of a prompt that its schema cannot see. Empty: it can be published. */
export function checkPrompt(content: PromptContent, policy: NetworkPolicy = {}): PromptFault[] {
  const hours = content.rules.openingHours ? openingFault(content.rules.openingHours) : null
  return [
    ...unknownVariables(content),
    ...content.tools.flatMap((tool, index) => toolFaults(content, tool, index, policy)),
    ...(hours ? [{ param: `rules.openingHours${hours.path}`, message: hours.message }] : []),
  ]
}

/** `checkPrompt` as an exception, for routes: the first fault is the `param`, all are in `details`. */
export function assertPrompt(content: PromptContent, policy: NetworkPolicy = {}): void {
  const faults = checkPrompt(content, policy)
  if (faults.length > 0) throw new AppError('invalid_request', { param: faults[0]!.param, message: faults[0]!.message, details: { faults } })
}

function unknownVariables(content: PromptContent): PromptFault[] {
  const known = new Set<string>([...BUILT_IN_VARIABLES, ...Object.keys(content.variables)])
  const named = new Set([...content.instructions.matchAll(PLACEHOLDER)].map(([, name]) => name!))
  return [...named].filter((name) => !known.has(name)).map((name) => ({ param: 'instructions', message: `The variable {{${name}}} is not defined.` }))
}

function toolFaults(content: PromptContent, tool: PromptContent['tools'][number], index: number, policy: NetworkPolicy): PromptFault[] {
  const at = `tools[${index}]`
  const faults: PromptFault[] = []
  if (content.tools.findIndex((other) => other.name === tool.name) < index) faults.push({ param: `${at}.name`, message: `Two tools are called ${tool.name}.` })
  if (tool.type === 'builtin') return faults
  const schema = schemaFault(tool.parameters)
  if (schema) faults.push({ param: `${at}.parameters`, message: schema })
  try {
    checkUrl(tool.url, policy)
  } catch (error) {
    if (error instanceof AddressRefused) faults.push({ param: `${at}.url`, message: error.message })
  }
  return faults
}
