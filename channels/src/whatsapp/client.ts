import type { CloudAPIMarkMessageReadRequest } from '@whatsapp-cloudapi/types/cloudapi'
import { AppError, type ChannelClient, type ChannelClientDeps, type FetchedMedia, type MediaRef, type NumberConfig, type SendOptions, type WireRequest } from '@trunkline/core'
import type { Dispatcher } from 'undici'
import { callGraph, createGraphAgent, graphError, outcomeOf, readOrThrow, type GraphReply } from '../graph.ts'
import { id, list, number, record, webUrl, type Json } from '../json.ts'
import { download, requireUrl } from '../media.ts'
import { graphVersion } from '../meta.ts'
import { clip } from '../text.ts'
import { POLICY } from './policy.ts'
import { LIMITS } from './wire.ts'

/** The only I/O of the channel: sends, types, fetches files and checks credentials at the Graph API. */

/** Hosts that Graph hands out for files (cloud-api/reference/media: "lookaside.fbsbx.com"). */
const MEDIA_HOSTS = ['fbsbx.com', 'fbcdn.net', 'whatsapp.net', 'facebook.com'] as const

type Call = { method: 'GET' | 'POST'; path: string; body?: Json; signal: AbortSignal }

class Graph {
  readonly agent: Dispatcher
  readonly deps: ChannelClientDeps

  constructor(deps: ChannelClientDeps) {
    this.deps = deps
    this.agent = createGraphAgent(deps.timeoutMs)
  }

  call(config: NumberConfig, { path, ...call }: Call): Promise<GraphReply> {
    const version = graphVersion(config.settings)
    const url = `${this.deps.baseUrl}/${version}/${path}`
    return callGraph(this.agent, this.deps.timeoutMs, { ...call, url, accessToken: tokenOf(config) })
  }
}

const tokenOf = ({ credentials }: NumberConfig): string => (typeof credentials.access_token === 'string' ? credentials.access_token : '')
const messagesPath = (config: NumberConfig): string => `${encodeURIComponent(config.address)}/messages`

/** `{messages: [{id: "wamid..."}]}`; also what is held for a quality check has an id. */
function wamid(json: Json): string | undefined {
  return id(record(list(json.messages)[0])?.id)
}

async function send(graph: Graph, config: NumberConfig, request: WireRequest, options: SendOptions) {
  // There is no idempotency key: this field, echoed in every status webhook, is how an unknown outcome is found again.
  const body = { ...request.body, biz_opaque_callback_data: clip(options.callbackData, LIMITS.callbackData) }
  const reply = await graph.call(config, { method: 'POST', path: messagesPath(config), body, signal: options.signal })
  return outcomeOf(reply, POLICY, wamid)
}

/** Also marks the message as read; ends with our answer or after 25 s (cloud-api/typing-indicators, 17 Jun 2026). */
async function typing(graph: Graph, config: NumberConfig, inReplyTo: string, signal: AbortSignal): Promise<void> {
  const body: CloudAPIMarkMessageReadRequest = { messaging_product: 'whatsapp', status: 'read', message_id: inReplyTo, typing_indicator: { type: 'text' } }
  await graph.call(config, { method: 'POST', path: messagesPath(config), body: { ...body }, signal })
}

/** The address behind a media id; lives five minutes, so it is asked for each time (cloud-api/reference/media). */
async function mediaAddress(graph: Graph, config: NumberConfig, mediaId: string, maxBytes: number, signal: AbortSignal): Promise<{ url: string; mimeType: unknown }> {
  const path = `${encodeURIComponent(mediaId)}?phone_number_id=${encodeURIComponent(config.address)}`
  const json = readOrThrow(await graph.call(config, { method: 'GET', path, signal }))
  const url = webUrl(json.url)
  if (!url) throw new AppError('upstream_failed', { message: 'The platform gave no address for the file.' })
  if ((number(json.file_size) ?? 0) > maxBytes) throw new AppError('upstream_rejected', { message: `The file is larger than ${maxBytes} bytes.`, param: 'media' })
  return { url, mimeType: json.mime_type }
}

async function fetchMedia(graph: Graph, config: NumberConfig, media: MediaRef, maxBytes: number, signal: AbortSignal): Promise<FetchedMedia> {
  const { url, mimeType } = media.providerMediaId
    ? await mediaAddress(graph, config, media.providerMediaId, maxBytes, signal)
    : { url: requireUrl(media), mimeType: media.mimeType }
  const { baseUrl } = graph.deps
  const file = await download(graph.agent, { url, hosts: MEDIA_HOSTS, baseUrl, accessToken: tokenOf(config), maxBytes, signal })
  return { bytes: file.bytes, mimeType: typeof mimeType === 'string' && mimeType.length <= 255 ? mimeType : file.mimeType }
}

/** Reads the number itself: proves the token, its permission and that the id is a WhatsApp number of it. */
async function check(graph: Graph, config: NumberConfig, signal: AbortSignal): Promise<void> {
  const reply = await graph.call(config, { method: 'GET', path: `${encodeURIComponent(config.address)}?fields=id,display_phone_number,verified_name`, signal })
  const error = reply.kind === 'answer' ? graphError(reply.json) : undefined
  const isMissing = reply.kind === 'answer' && (reply.status === 404 || (error?.code === 100 && error.subcode === 33))
  if (isMissing) throw new AppError('invalid_credentials', { message: 'This token sees no WhatsApp number with this phone_number_id.', param: 'address' })
  const isRefused = error ? error.code === 190 || error.code === 10 || (error.code >= 200 && error.code <= 299) : reply.kind === 'answer' && reply.status === 401
  if (isRefused) throw new AppError('invalid_credentials', { message: 'WhatsApp refused the access token or its permissions.', param: 'credentials.access_token' })
  readOrThrow(reply)
}

/** One connection pool per client: make one per process. */
export function client(deps: ChannelClientDeps): ChannelClient {
  const graph = new Graph(deps)
  return {
    send: (config, request, options) => send(graph, config, request, options),
    typing: (config, _to, inReplyTo, signal) => typing(graph, config, inReplyTo, signal),
    fetchMedia: (config, media, maxBytes, signal) => fetchMedia(graph, config, media, maxBytes, signal),
    check: (config, signal) => check(graph, config, signal),
  }
}
