import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { strikeBefore } from '../faults/effects.ts'
import type { World } from '../world.ts'
import { knownRefusal, refuseByFault, sendRefusal } from './errors.ts'
import { sendInstagram } from './instagram/send.ts'
import { mediaRoutes } from './media-routes.ts'
import { tokenOf } from './registry.ts'
import { markRead, sendMessage } from './whatsapp/send.ts'

type ById = { Params: { id: string } }

/** Graph answers 100/33 for an object that does not exist or that the token may not see. */
const noSuchObject = (reply: FastifyReply, id: string, verb: string) =>
  sendRefusal(reply, {
    status: 400, code: 100, subcode: 33, type: 'GraphMethodException',
    message: `Unsupported ${verb} request. Object with ID '${id.slice(0, 64)}' does not exist, cannot be loaded due to missing permissions, or does not support this operation.`,
  })

/** `graph.facebook.com` and `graph.instagram.com`: one host plays both, the registered id decides. */
export function metaRoutes(app: FastifyInstance, world: World): void {
  app.post<ById>('/:version(^v\\d+\\.\\d+$)/:id/messages', (request, reply) => {
    const token = tokenOf(request)
    const id = request.params.id === 'me' ? idOfToken(world, token) : request.params.id
    const number = world.meta.whatsapp.get(id)
    const account = number ? undefined : world.meta.instagram.get(id)
    if ((number ?? account)?.access_token !== token) return refuseToken(world, request, reply, token, id, number ? 'whatsapp.send' : 'instagram.send')
    if (account) return sendInstagram(world, account, request, reply)
    const isReceipt = (request.body as { status?: unknown } | null)?.status !== undefined
    return isReceipt ? markRead(world, number!, request, reply) : sendMessage(world, number!, request, reply)
  })
  mediaRoutes(app, world)
  app.get<ById>('/:version(^v\\d+\\.\\d+$)/:id', (request, reply) => describe(world, request, reply))
}

function idOfToken(world: World, token: string): string {
  for (const account of world.meta.instagram.values()) if (account.access_token === token) return account.ig_id
  return ''
}

function refuseToken(world: World, request: FastifyRequest, reply: FastifyReply, token: string, id: string, target: string): FastifyReply {
  const known = world.meta.knowsToken(token)
  const status = known ? 400 : 401
  world.journal.add({ target, outcome: 'refused', status, number: id.slice(0, 255), kind: known ? 'unknown_object' : 'bad_token', body: request.body })
  return known ? noSuchObject(reply, id, 'post') : sendRefusal(reply, knownRefusal(190))
}

/** `GET /{id}`: credential checks, media look-ups, profiles. */
async function describe(world: World, request: FastifyRequest<ById>, reply: FastifyReply): Promise<FastifyReply | void> {
  const token = tokenOf(request)
  const id = request.params.id === 'me' ? idOfToken(world, token) : request.params.id
  const media = world.media.get(id)
  const target = media ? 'whatsapp.media.get' : 'graph.get'
  const fault = world.faults.pick(target, { number: media?.number ?? id })
  const status = fault ? await strikeBefore(fault, reply, refuseByFault) : null
  if (status !== null) return void world.journal.add({ target, outcome: 'fault', status, id, fault: fault?.id })
  const found = world.meta.knowsToken(token) ? (media ? mediaAnswer(world, media.id) : objectOf(world, id, token)) : undefined
  world.journal.add({ target, outcome: found ? 'accepted' : 'refused', status: found ? 200 : 400, number: media?.number ?? id.slice(0, 255), id: media?.id })
  if (found) return reply.send(found)
  return world.meta.knowsToken(token) ? noSuchObject(reply, id, 'get') : sendRefusal(reply, knownRefusal(190))
}

function mediaAnswer(world: World, mediaId: string) {
  const { id, mimeType, sha256, bytes } = world.media.get(mediaId)!
  const url = `${world.publicUrl()}/sandbox-media/${world.media.link(id)}`
  return { messaging_product: 'whatsapp', url, mime_type: mimeType, sha256, file_size: bytes.length, id }
}

function objectOf(world: World, id: string, token: string): Record<string, unknown> | undefined {
  const number = world.meta.whatsapp.get(id)
  if (number) {
    if (number.access_token !== token) return undefined
    return {
      id, display_phone_number: number.display_phone_number, verified_name: number.verified_name, quality_rating: 'GREEN',
      code_verification_status: 'VERIFIED', platform_type: 'CLOUD_API', throughput: { level: 'STANDARD' },
    }
  }
  const account = world.meta.instagram.get(id)
  if (account) return account.access_token === token ? { id, user_id: id, username: account.username, name: account.name, account_type: 'BUSINESS' } : undefined
  const profile = world.meta.profile(id)
  return profile && { ...profile, id, is_verified_user: false, follower_count: 42 }
}
