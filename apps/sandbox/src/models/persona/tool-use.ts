import type { ToolCall, ToolSpec, Transcript } from '../transcript.ts'
import { latestWords } from '../transcript.ts'
import { learn } from './details.ts'
import { freshFacts } from './fresh.ts'
import { stemsOf } from './knowledge.ts'
import { fillArguments } from './arguments.ts'
import { WANTS_HUMAN } from './receptionist.ts'

const GOODBYE = /\b(?:bye|goodbye|that'?s all|nothing else|end (?:the|this) (?:chat|conversation|call))\b/i
/** Verbs of tool names say little about what a customer asks for. */
const VERBS = new Set(stemsOf('get fetch find lookup look up check create make list search query read call run do set update'))

/** Which tools the receptionist calls now; empty: it speaks. */
export function chooseCalls(transcript: Transcript): ToolCall[] {
  const { tools, toolChoice, results } = transcript
  if (tools.length === 0 || toolChoice === 'none') return []
  if (typeof toolChoice === 'object') return results.length > 0 ? [] : forced(transcript, tools.filter(({ name }) => name === toolChoice.name))
  const calls = tools.flatMap((tool) => wanted(transcript, tool)).filter((call) => !wasCalled(transcript, call))
  if (calls.length > 0 || toolChoice !== 'required' || results.length > 0) return calls
  return forced(transcript, tools.slice(0, 1))
}

const wasCalled = ({ results }: Transcript, { name }: ToolCall): boolean => results.some((result) => result.name === name)

const forced = (transcript: Transcript, tools: ToolSpec[]): ToolCall[] =>
  tools.map((tool) => ({ name: tool.name, arguments: JSON.stringify(fillArguments(tool.parameters, transcript) ?? {}) }))

function wanted(transcript: Transcript, tool: ToolSpec): ToolCall[] {
  const words = latestWords(transcript.turns)
  const spelled = spelledCall(words, tool.name)
  if (spelled) return [{ name: tool.name, arguments: spelled }]
  if (/capture_lead|lead_field/i.test(tool.name)) return captures(transcript, tool)
  if (!isAskedFor(words, tool)) return []
  const values = fillArguments(tool.parameters, transcript)
  return values ? [{ name: tool.name, arguments: JSON.stringify(values) }] : []
}

/** `call lookup_order {"id": "7"}` or `use the tool lookup_order`: a way to ask for exactly one call. */
function spelledCall(words: string, name: string): string | null {
  const match = new RegExp(`\\b(?:call|use|run)\\s+(?:the\\s+)?(?:tool\\s+|function\\s+)?${name}\\b\\s*(\\{[\\s\\S]*\\})`, 'i').exec(words)
  if (!match) return null
  try {
    return JSON.stringify(JSON.parse(match[1]!))
  } catch {
    return null
  }
}

function isAskedFor(words: string, { name, description }: ToolSpec): boolean {
  if (/hand_?over|transfer_to|escalat/i.test(name)) return WANTS_HUMAN.test(words)
  if (/end_conversation|hang_?up/i.test(name)) return GOODBYE.test(words) && !words.includes('?')
  if (words.toLowerCase().includes(name.toLowerCase())) return true
  const said = stemsOf(words)
  const nouns = [...stemsOf(name.replace(/[_-]/g, ' ').replace(/([a-z])([A-Z])/g, '$1 $2'))].filter((stem) => !VERBS.has(stem))
  const hits = nouns.filter((stem) => said.has(stem)).length
  if (nouns.length > 0 && hits / nouns.length >= 0.5) return true
  const described = [...stemsOf(description)].filter((stem) => !VERBS.has(stem) && said.has(stem)).length
  return described >= 3 || (hits > 0 && described >= 2)
}

/** One call for each detail that the latest words tell for the first time. */
function captures(transcript: Transcript, tool: ToolSpec): ToolCall[] {
  const fresh = Object.entries(freshFacts(transcript.turns))
  const properties = Object.keys(tool.parameters.properties ?? {})
  const [fieldKey, valueKey] = [properties.find((key) => /field|key|name/i.test(key)), properties.find((key) => /value|content/i.test(key))]
  if (fieldKey === undefined || valueKey === undefined) {
    const known = learn(transcript.turns) as Record<string, string>
    const values = Object.fromEntries(properties.filter((key) => known[key] !== undefined).map((key) => [key, known[key]]))
    return fresh.length > 0 && Object.keys(values).length > 0 ? [{ name: tool.name, arguments: JSON.stringify(values) }] : []
  }
  const allowed = ((tool.parameters.properties as Record<string, { enum?: string[] }>)[fieldKey] ?? {}).enum
  return fresh.filter(([field]) => !allowed || allowed.includes(field)).map(([field, value]) => ({ name: tool.name, arguments: JSON.stringify({ [fieldKey]: field, [valueKey]: value }) }))
}
