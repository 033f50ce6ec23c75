import { hash } from 'node:crypto'
import type { Clock, Tool } from '@trunkline/core'
import type { ToolCallRequest } from '../vendors/chain.ts'
import type { ModelTool } from '../vendors/contract.ts'
import { BUILT_INS } from './built-in.ts'
import type { Effect } from './built-in.ts'
import type { HttpToolPort, ToolResult } from './http.ts'
import { checkArguments } from './schema.ts'

/** One line of the archive: what was called, with what, and what came back. */
export type ToolRecord = {
  callId: string
  name: string
  argumentsJson: string
  output: string
  ok: boolean
  fault: string | null
  status: number | null
  durationMs: number
  idempotencyKey: string | null
}

export type ToolContext = { tenantId: string; turnId: string; http: HttpToolPort; clock: Clock }

const CALLS_PER_STEP_MAX = 16

/** The tools of one turn. Every call gets an output, also one that is refused, unknown or failed: a call without one blocks the conversation for ever. */
export class ToolBelt {
  readonly definitions: readonly ModelTool[]
  readonly effects: Effect[] = []
  readonly records: ToolRecord[] = []
  readonly #tools: ReadonlyMap<string, Tool>
  readonly #context: ToolContext
  readonly #repeats = new Map<string, number>()

  constructor(tools: readonly Tool[], context: ToolContext) {
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]))
    this.#context = context
    this.definitions = [...this.#tools.values()].map(definitionOf)
  }

  /** Runs the calls of one step side by side; outputs in the order of the calls. */
  async run(calls: readonly ToolCallRequest[], signal: AbortSignal): Promise<ToolRecord[]> {
    const records = await Promise.all(calls.map(async (call, index) => (index < CALLS_PER_STEP_MAX ? this.#runOne(call, signal) : this.#refuse(call, 'too_many_calls', 'Too many calls at once.'))))
    this.records.push(...records)
    return records
  }

  async #runOne(call: ToolCallRequest, signal: AbortSignal): Promise<ToolRecord> {
    const tool = this.#tools.get(call.name)
    if (!tool) return this.#refuse(call, 'unknown_tool', 'There is no tool of this name.')
    const checked = checkArguments(call.argumentsJson, parametersOf(tool))
    if (!checked.ok) return this.#refuse(call, 'invalid_arguments', checked.fault)
    if (tool.type === 'builtin') return this.#builtIn(call, tool.name, checked.args)
    const { tenantId, http, clock } = this.#context
    const idempotencyKey = this.#keyOf(call.name, checked.args)
    const startMs = clock.nowMs()
    const result = await http({ tenantId, tool, args: checked.args, idempotencyKey }, signal)
    return record(call, result, clock.nowMs() - startMs, idempotencyKey)
  }

  #builtIn(call: ToolCallRequest, name: keyof typeof BUILT_INS, args: Record<string, unknown>): ToolRecord {
    this.effects.push(BUILT_INS[name].effect(args))
    return record(call, { ok: true, output: BUILT_INS[name].output, fault: null, status: null }, 0, null)
  }

  #refuse(call: ToolCallRequest, fault: string, message: string): ToolRecord {
    return record(call, { ok: false, output: JSON.stringify({ error: fault, message }), fault, status: null }, 0, null)
  }

  /** The same when a crashed turn is run again, although the vendor gives its calls new ids; different for a second equal call. */
  #keyOf(name: string, args: Record<string, unknown>): string {
    const call = `${this.#context.turnId}|${name}|${JSON.stringify(sorted(args))}`
    const nth = this.#repeats.get(call) ?? 0
    this.#repeats.set(call, nth + 1)
    return hash('sha256', `${call}|${nth}`).slice(0, 48)
  }
}

const parametersOf = (tool: Tool) => (tool.type === 'http' ? tool.parameters : BUILT_INS[tool.name].parameters)

function definitionOf(tool: Tool): ModelTool {
  if (tool.type === 'http') return { name: tool.name, description: tool.description, parameters: tool.parameters }
  const { name, description, parameters } = BUILT_INS[tool.name]
  return { name, description, parameters }
}

function record(call: ToolCallRequest, result: ToolResult, durationMs: number, idempotencyKey: string | null): ToolRecord {
  return { ...call, output: result.output, ok: result.ok, fault: result.fault, status: result.status, durationMs, idempotencyKey }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]))
}
