import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { World } from '../world.ts'
import { parseOr400 } from './input.ts'

const PaceInput = z.strictObject({
  first_token_ms: z.number().min(0).max(600_000).optional(),
  per_token_ms: z.number().min(0).max(60_000).optional(),
  tokens_per_delta: z.number().int().min(1).max(1000).optional(),
})

const wire = ({ firstTokenMs, perTokenMs, tokensPerDelta }: World['pace']) => ({ first_token_ms: firstTokenMs, per_token_ms: perTokenMs, tokens_per_delta: tokensPerDelta })

/** Health, the pace of the models, and a clean slate. */
export function controlRoutes(app: FastifyInstance, world: World, reset: () => void): void {
  app.get('/health', () => ({ status: 'ok' }))
  app.get('/sandbox/pace', () => wire(world.pace))
  app.put('/sandbox/pace', (request) => {
    const input = parseOr400(PaceInput, request.body, 'body')
    world.pace.firstTokenMs = input.first_token_ms ?? world.pace.firstTokenMs
    world.pace.perTokenMs = input.per_token_ms ?? world.pace.perTokenMs
    world.pace.tokensPerDelta = input.tokens_per_delta ?? world.pace.tokensPerDelta
    return wire(world.pace)
  })
  app.post('/sandbox/reset', (_request, reply) => {
    reset()
    return reply.code(204).send()
  })
}
