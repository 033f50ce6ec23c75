/** What every model API boils down to. */
export type Turn = { role: 'user' | 'assistant'; text: string }
export type ToolSpec = { name: string; description: string; parameters: Record<string, unknown> }
export type ToolResult = { name: string; arguments: string; output: string }
export type ToolChoice = 'auto' | 'none' | 'required' | { name: string }

export type Transcript = {
  instructions: string
  /** Oldest first. */
  turns: Turn[]
  tools: ToolSpec[]
  toolChoice: ToolChoice
  /** Calls made and answered since the customer last wrote. */
  results: ToolResult[]
  /** The answer must be JSON of this schema. */
  schema?: Record<string, unknown>
}

export type ToolCall = { name: string; arguments: string }
export type ModelAnswer = { text: string; calls: ToolCall[] }

/** The customer's messages that nobody has answered yet, as one text. */
export function latestWords(turns: readonly Turn[]): string {
  const words: string[] = []
  for (let index = turns.length - 1; index >= 0 && turns[index]!.role === 'user'; index--) words.unshift(turns[index]!.text)
  return words.join('\n')
}
