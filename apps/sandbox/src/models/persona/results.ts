import type { ToolResult } from '../transcript.ts'
import { plain } from '../../plain.ts'

/** Says what tools found, in a sentence or two. */
export function sayResults(results: readonly ToolResult[]): string {
  return results.map(({ name, output }) => sayResult(name, output)).filter(Boolean).join(' ')
}

function sayResult(name: string, output: string): string {
  if (/hand_?over|transfer|escalat/i.test(name)) return 'Of course. I am passing you on to a colleague, who will answer here as soon as possible.'
  if (/end_conversation|hang_?up/i.test(name)) return 'Thank you for getting in touch. Have a lovely day!'
  const value = parsed(output)
  if (failed(value)) return 'I am sorry, I could not look that up just now. A colleague will get back to you.'
  if (typeof value !== 'object' || value === null) return `Here is what I found: ${String(value).slice(0, 600)}${/[.!?]$/.test(String(value)) ? '' : '.'}`
  const words = spoken(value as Record<string, unknown>)
  return words ? words : `Here is what I found: ${facts(value as Record<string, unknown>).join(', ')}.`
}

function parsed(output: string): unknown {
  try {
    return JSON.parse(output)
  } catch {
    return output.trim()
  }
}

function failed(value: unknown): boolean {
  if (typeof value === 'string') return value === '' || /^(?:error|failed|exception)\b/i.test(value)
  return typeof value === 'object' && value !== null && ('error' in value || (value as { ok?: unknown }).ok === false)
}

/** A tool that answers with a sentence is quoted. */
function spoken(value: Record<string, unknown>): string | null {
  const sentence = [value.message, value.answer, value.text, value.summary].find((candidate) => typeof candidate === 'string' && candidate.includes(' '))
  return (sentence as string | undefined)?.slice(0, 600) ?? null
}

/** `{"order":{"status":"shipped"}}` -> `status: shipped`; at most six facts. */
function facts(value: Record<string, unknown>, found: string[] = []): string[] {
  for (const [key, inner] of Object.entries(value)) {
    if (found.length >= 6) break
    if (inner === null || inner === undefined) continue
    if (Array.isArray(inner)) found.push(`${label(key)}: ${inner.slice(0, 5).map((item) => (typeof item === 'object' && item !== null ? facts(item as Record<string, unknown>).slice(0, 3).join(' ') : String(item))).join('; ')}`)
    else if (typeof inner === 'object') facts(inner as Record<string, unknown>, found)
    else found.push(`${label(key)}: ${plain(inner).slice(0, 200)}`)
  }
  return found
}

const label = (key: string): string => key.replace(/_/g, ' ').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
