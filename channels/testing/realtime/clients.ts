import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { z } from 'zod'

/** What the official clients know of the protocol, read from their installed packages: the judge of what we send. */
const require = createRequire(import.meta.url)

type AgentsEvents = { realtimeServerEventSchema: z.ZodDiscriminatedUnion; realtimeClientEventSchema: z.ZodDiscriminatedUnion }
type AgentsItems = { realtimeMessageItemSchema: z.ZodType }

const inAgents = (file: string): string => pathToFileURL(join(dirname(require.resolve('@openai/agents-realtime')), file)).href

/** The schemas by which `@openai/agents-realtime` reads events; the package keeps them to itself. */
export const agentsEvents = async (): Promise<AgentsEvents> => (await import(inAgents('openaiRealtimeEvents.mjs'))) as AgentsEvents
export const agentsItems = async (): Promise<AgentsItems> => (await import(inAgents('items.mjs'))) as AgentsItems

export function typesKnownTo(schema: z.ZodDiscriminatedUnion): Set<string> {
  return new Set(schema.options.flatMap((option) => [...((option as z.ZodObject)._zod.propValues?.type ?? [])].map(String)))
}

/** Fields of every event with this `type` in the `openai` package's declarations: what its API documents. */
export function openaiFields(): Map<string, Set<string>> {
  const lines = readFileSync(join(dirname(require.resolve('openai/resources/realtime/realtime')), 'realtime.d.ts'), 'utf8').split('\n')
  const fields = new Map<string, Set<string>>()
  for (const [index, line] of lines.entries()) {
    const [, indent, type] = /^( +)type: '([a-z_]+(?:\.[a-z_]+)*|error)';$/.exec(line) ?? []
    if (indent && type) fields.set(type, fieldsAround(lines, index, indent))
  }
  return fields
}

/** The names on the same level, between the line that opens the interface and the one that closes it. */
function fieldsAround(lines: readonly string[], index: number, indent: string): Set<string> {
  const outer = indent.slice(4)
  const isEdge = (line: string): boolean => line.startsWith(outer) && /^\S/.test(line.slice(outer.length)) && !line.startsWith(indent)
  const from = lines.findLastIndex((line, at) => at < index && isEdge(line))
  const to = lines.findIndex((line, at) => at > index && isEdge(line))
  const names = lines.slice(from + 1, to).flatMap((line) => (line.startsWith(indent) ? (/^(\w+)\??:/.exec(line.slice(indent.length))?.[1] ?? []) : []))
  return new Set(names)
}
