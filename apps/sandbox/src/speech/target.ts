import type { FastifyReply, FastifyRequest } from 'fastify'
import type { JournalDraft } from '../journal/entry.ts'
import { strikeBefore } from '../faults/effects.ts'
import type { Refuse } from '../faults/effects.ts'
import type { Fault } from '../faults/fault.ts'
import type { World } from '../world.ts'

/** What an endpoint tells about a request before it answers. */
export type Note = Omit<JournalDraft, 'outcome' | 'status'>

/**
 * The common beginning of every speech endpoint: a fault may end the request here (then null), else it goes on with what of the fault
 * comes later. Refusals and acceptance are journalled by the endpoint.
 */
export async function admit(world: Pick<World, 'faults' | 'journal'>, note: Note, reply: FastifyReply, refuse: Refuse): Promise<{ fault: Fault | undefined } | null> {
  const fault = world.faults.pick(note.target, { model: note.kind, text: note.text, to: note.to })
  if (!fault) return { fault }
  const status = await strikeBefore(fault, reply, refuse)
  if (status === null) return { fault }
  world.journal.add({ ...note, fault: fault.id, outcome: 'fault', status })
  return null
}

/** The key that a request came with, as each supplier wants it; of a signature the access key id. */
export function keyIn({ headers, query }: FastifyRequest): string | undefined {
  const given = headers['xi-api-key'] ?? headers['x-goog-api-key'] ?? (query as { key?: unknown } | undefined)?.key
  if (typeof given === 'string') return given.slice(0, 128)
  const { authorization = '' } = headers
  return (/^(?:Bearer|Token)\s+(\S+)$/i.exec(authorization) ?? /Credential=([^/\s]+)\//.exec(authorization))?.[1]?.slice(0, 128)
}
