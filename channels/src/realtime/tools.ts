import { z } from 'zod'
import { ClientId, JsonObject, text } from './json-value.ts'
import { LIMITS } from './limits.ts'

const ToolName = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -')

/** A function that the client runs. Defaults are filled in so that `session.updated` shows every field. */
export const FunctionTool = z.strictObject({
  type: z.literal('function'),
  name: ToolName,
  description: text(LIMITS.toolDescription).default(''),
  parameters: JsonObject.default(() => ({ type: 'object', properties: {} })),
})
export type FunctionTool = z.infer<typeof FunctionTool>

/** Tools live in our agents, which speak MCP themselves: a session does not open connections for its client. */
const McpTool = z.looseObject({ type: z.literal('mcp') }).superRefine((_, context) => {
  context.addIssue({
    code: 'custom',
    path: ['type'],
    message: 'tools of type mcp are configured on the agent, not in a session',
    params: { code: 'not_supported' },
  })
})

/** Those of type mcp never pass, which the types cannot know; a `transform` that says so would cost the schema its examples. */
export const Tools = z
  .array(z.discriminatedUnion('type', [FunctionTool, McpTool]))
  .max(LIMITS.tools)
  .refine((tools) => new Set(tools.map((tool) => tool.name)).size === tools.length, 'expected tool names that differ') as unknown as z.ZodType<FunctionTool[]>

export const ToolChoice = z.union([z.enum(['auto', 'none', 'required']), z.strictObject({ type: z.literal('function'), name: ToolName })])
export type ToolChoice = z.infer<typeof ToolChoice>

export const CallId = ClientId
