import type { FastifyInstance } from 'fastify'
import { invalidRequest, keyOf, sendOpenAiRefusal } from './errors.ts'
import type { OpenAiRefusal } from './errors.ts'

type Model = { id: string; created: number; shutdown: string | null }

// Shut-down dates: developers.openai.com/api/docs/deprecations as of November 2026.
const MODELS: Model[] = [
  { id: 'gpt-6-luna', created: 1_790_000_000, shutdown: null },
  { id: 'gpt-5.2', created: 1_765_000_000, shutdown: null },
  { id: 'gpt-5-mini', created: 1_754_500_000, shutdown: '2026-12-11' },
  { id: 'gpt-5', created: 1_754_500_000, shutdown: '2026-12-11' },
  { id: 'gpt-4.1', created: 1_744_600_000, shutdown: '2027-01-14' },
  { id: 'gpt-4.1-mini', created: 1_744_600_000, shutdown: '2027-01-14' },
  { id: 'gpt-4o', created: 1_715_367_049, shutdown: '2027-01-14' },
  { id: 'gpt-4o-mini', created: 1_721_172_741, shutdown: '2027-01-14' },
  { id: 'gpt-3.5-turbo-0301', created: 1_677_649_963, shutdown: '2024-09-13' },
]

const FAMILIES = /^(?:gpt-|o[1-9]|chatgpt-|ft:|sandbox)/

/** OpenAI knows its families only, and none that was shut down; Groq and Ollama here take any name. */
export function modelRefusal(model: unknown, anyName: boolean): OpenAiRefusal | null {
  if (typeof model !== 'string' || model === '') return invalidRequest("Missing required parameter: 'model'.", 'model', 'missing_required_parameter')
  if (anyName) return null
  const shutdown = MODELS.find(({ id }) => id === model)?.shutdown
  if (shutdown && Date.parse(shutdown) < Date.now()) return invalidRequest(`The model \`${model}\` has been deprecated.`, null, 'model_not_found', 404)
  return FAMILIES.test(model) ? null : invalidRequest(`The model \`${model.slice(0, 128)}\` does not exist or you do not have access to it.`, null, 'model_not_found', 404)
}

const wire = ({ id, created, shutdown }: Model) => ({ id, object: 'model', created, owned_by: 'system', shutdown_date: shutdown })

export function modelRoutes(app: FastifyInstance, prefix: string): void {
  app.get(`${prefix}/models`, (request, reply) => {
    const auth = keyOf(request)
    return 'refusal' in auth ? sendOpenAiRefusal(reply, auth.refusal) : reply.send({ object: 'list', data: MODELS.map(wire) })
  })
  app.get<{ Params: { id: string } }>(`${prefix}/models/:id`, (request, reply) => {
    const auth = keyOf(request)
    if ('refusal' in auth) return sendOpenAiRefusal(reply, auth.refusal)
    const model = MODELS.find(({ id }) => id === request.params.id)
    return model ? reply.send(wire(model)) : sendOpenAiRefusal(reply, modelRefusal(`?${request.params.id}`, false)!)
  })
}
