import type { FastifyInstance } from 'fastify'
import { ControlError, parseOr400 } from '../control/input.ts'
import { FaultInput } from './fault.ts'
import type { FaultTable } from './table.ts'

/** Faults are scripted at run time, by tests and by hand. */
export function faultRoutes(app: FastifyInstance, faults: FaultTable): void {
  app.post('/sandbox/faults', (request, reply) => {
    const fault = faults.add(parseOr400(FaultInput, request.body, 'body'))
    return reply.code(201).send(faults.list().find(({ id }) => id === fault.id))
  })
  app.get('/sandbox/faults', () => ({ data: faults.list() }))
  app.delete('/sandbox/faults', (_request, reply) => {
    faults.clear()
    return reply.code(204).send()
  })
  app.delete<{ Params: { id: string } }>('/sandbox/faults/:id', (request, reply) => {
    if (!faults.remove(request.params.id)) throw new ControlError(404, `There is no fault ${request.params.id}`)
    return reply.code(204).send()
  })
}
