import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { strikeAfter, strikeBefore } from '../faults/effects.ts'
import type { World } from '../world.ts'
import { knownRefusal, refuseByFault, sendRefusal } from './errors.ts'
import { tokenOf } from './registry.ts'
import { plain } from '../plain.ts'

type ById = { Params: { id: string } }

/** Upload, deletion and the download address of media. Look-up by id shares its route with other objects: see routes.ts. */
export function mediaRoutes(app: FastifyInstance, world: World): void {
  app.post<ById>('/:version(^v\\d+\\.\\d+$)/:id/media', (request, reply) => upload(world, request, reply))
  app.delete<ById>('/:version(^v\\d+\\.\\d+$)/:id', (request, reply) => {
    if (!world.meta.knowsToken(tokenOf(request))) return sendRefusal(reply, knownRefusal(190))
    return world.media.remove(request.params.id) ? reply.send({ success: true }) : sendRefusal(reply, knownRefusal(100, { subcode: 33 }))
  })
  app.get<{ Params: { key: string } }>('/sandbox-media/:key', (request, reply) => download(world, request, reply))
}

async function upload(world: World, request: FastifyRequest<ById>, reply: FastifyReply): Promise<FastifyReply | void> {
  const { id: number } = request.params
  const target = 'whatsapp.media.upload'
  if (world.meta.whatsapp.get(number)?.access_token !== tokenOf(request)) return sendRefusal(reply, knownRefusal(190))
  const fault = world.faults.pick(target, { number })
  const status = fault ? await strikeBefore(fault, reply, refuseByFault) : null
  if (status !== null) return void world.journal.add({ target, outcome: 'fault', status, number, fault: fault?.id })
  const form = await formOf(request)
  const file = form?.get('file')
  if (!form || form.get('messaging_product') !== 'whatsapp') return sendRefusal(reply, knownRefusal(100, { message: '(#100) The parameter messaging_product is required.' }))
  if (!(file instanceof File)) return sendRefusal(reply, knownRefusal(100, { message: '(#100) The parameter file is required.' }))
  const mimeType = file.type || (plain(form.get('type')) || 'application/octet-stream')
  const stored = world.media.put(number, Buffer.from(await file.arrayBuffer()), mimeType, 'upload')
  world.journal.add({ target, outcome: 'accepted', status: 200, number, id: stored.id, kind: mimeType, fault: fault?.id })
  if (!strikeAfter(fault, reply)) return reply.send({ id: stored.id })
}

/** Node's own multipart parser; null when the body is none. */
async function formOf(request: FastifyRequest): Promise<FormData | null> {
  if (!Buffer.isBuffer(request.body)) return null
  try {
    return await new Response(new Uint8Array(request.body), { headers: { 'content-type': request.headers['content-type'] ?? '' } }).formData()
  } catch {
    return null
  }
}

/** Meta's download addresses need the bearer token and a User-Agent, and die after minutes with 404. */
async function download(world: World, request: FastifyRequest<{ Params: { key: string } }>, reply: FastifyReply): Promise<FastifyReply | void> {
  const target = 'whatsapp.media.download'
  const file = world.media.open(request.params.key)
  const fault = world.faults.pick(target, { number: file?.number })
  const status = fault ? await strikeBefore(fault, reply, refuseByFault) : null
  if (status !== null) return void world.journal.add({ target, outcome: 'fault', status, number: file?.number, id: file?.id, fault: fault?.id })
  if (!world.media.isPublic(request.params.key) && !world.meta.knowsToken(tokenOf(request))) return sendRefusal(reply, knownRefusal(190))
  world.journal.add({ target, outcome: file ? 'accepted' : 'refused', status: file ? 200 : 404, number: file?.number, id: file?.id })
  if (!file) return reply.code(404).header('content-type', 'text/html').send('<html><body>Not Found</body></html>')
  return reply.header('content-type', file.mimeType).send(file.bytes)
}
