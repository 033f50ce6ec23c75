import { AppError } from '@trunkline/core'
import fastify from 'fastify'
import type { Worker } from './compose.ts'

/** `/health`, `/ready` and `/metrics` of the worker; nothing else listens here. */
export async function startHealthServer(worker: Worker, place: { host: string; port: number }): Promise<{ url: string; close(): Promise<void> }> {
  const app = fastify({ logger: false })
  app.get('/health', () => ({ ok: true }))
  app.get('/ready', async (_request, reply) => {
    try {
      await worker.ready()
      return { ok: true }
    } catch (error) {
      return reply.code(503).send({ ok: false, reason: error instanceof AppError ? error.message : 'not ready' })
    }
  })
  app.get('/metrics', async (_request, reply) => reply.type(worker.metrics.registry.contentType).send(await worker.metrics.registry.metrics()))
  const url = await app.listen(place)
  return { url, close: () => app.close() }
}
