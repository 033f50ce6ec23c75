import { AppError, type ChannelClient, type ChannelClientDeps, type FetchedMedia, type MediaRef, type NumberConfig, type RenderContext, type SendOptions, type WireRequest } from '@trunkline/core'
import type { Dispatcher } from 'undici'
import { callGraph, createGraphAgent, graphError, outcomeOf, readOrThrow, type GraphReply } from '../graph.ts'
import { id, record, type Json } from '../json.ts'
import { download, requireUrl } from '../media.ts'
import { graphVersion } from '../meta.ts'
import { clip } from '../text.ts'
import { POLICY } from './policy.ts'

/** The only I/O of the channel: sends, types, fetches files and checks credentials at the Graph API. */

/** Hosts of attachment addresses in webhooks ("lookaside.fbsbx.com", the CDNs). They are signed: no token goes along. */
const MEDIA_HOSTS = ['fbsbx.com', 'fbcdn.net', 'cdninstagram.com', 'facebook.com', 'instagram.com'] as const
const CALLBACK_DATA_MAX = 512

type Graph = { agent: Dispatcher; deps: ChannelClientDeps }
type Call = { method: 'GET' | 'POST'; path: string; body?: Json; signal: AbortSignal }

function call(graph: Graph, config: NumberConfig, { path, ...rest }: Call): Promise<GraphReply> {
  const version = graphVersion(config.settings)
  const accessToken = typeof config.credentials.access_token === 'string' ? config.credentials.access_token : ''
  return callGraph(graph.agent, graph.deps.timeoutMs, { ...rest, url: `${graph.deps.baseUrl}/${version}/${path}`, accessToken })
}

const messagesPath = (config: NumberConfig): string => `${encodeURIComponent(config.address)}/messages`

/**
 * `metadata` comes back in the echo (documented for Messenger: webhook-events/message-echoes, 18 Mar 2026; for Instagram only that echoes come inside
 * `messages`). An echo without it is matched by contact, text and time: see the README. A number whose API refuses the field turns `echo_metadata` off.
 */
async function send(graph: Graph, config: NumberConfig, request: WireRequest, options: SendOptions) {
  const isMarked = config.settings.echo_metadata !== false
  const mark = isMarked ? { metadata: clip(options.callbackData, CALLBACK_DATA_MAX) } : {}
  const body = { ...request.body, message: { ...record(request.body.message), ...mark } }
  const reply = await call(graph, config, { method: 'POST', path: messagesPath(config), body, signal: options.signal })
  return outcomeOf(reply, POLICY, (json) => id(json.message_id))
}

async function typing(graph: Graph, config: NumberConfig, to: RenderContext['to'], signal: AbortSignal): Promise<void> {
  await call(graph, config, { method: 'POST', path: messagesPath(config), body: { recipient: { id: to.value }, sender_action: 'typing_on' }, signal })
}

async function fetchMedia(graph: Graph, media: MediaRef, maxBytes: number, signal: AbortSignal): Promise<FetchedMedia> {
  const { baseUrl } = graph.deps
  return download(graph.agent, { url: requireUrl(media), hosts: MEDIA_HOSTS, baseUrl, maxBytes, signal })
}

/** Reads the account itself: proves the token and that the id belongs to it. */
async function check(graph: Graph, config: NumberConfig, signal: AbortSignal): Promise<void> {
  const reply = await call(graph, config, { method: 'GET', path: `${encodeURIComponent(config.address)}?fields=id,username`, signal })
  const error = reply.kind === 'answer' ? graphError(reply.json) : undefined
  const isMissing = reply.kind === 'answer' && (reply.status === 404 || (error?.code === 100 && error.subcode === 33))
  if (isMissing) throw new AppError('invalid_credentials', { message: 'This token sees no Instagram account with this id.', param: 'address' })
  const isRefused = error ? error.code === 190 || error.code === 10 || (error.code >= 200 && error.code <= 299) : reply.kind === 'answer' && reply.status === 401
  if (isRefused) throw new AppError('invalid_credentials', { message: 'Instagram refused the access token or its permissions.', param: 'credentials.access_token' })
  readOrThrow(reply)
}

/** One connection pool per client: make one per process. */
export function client(deps: ChannelClientDeps): ChannelClient {
  const graph: Graph = { agent: createGraphAgent(deps.timeoutMs), deps }
  return {
    send: (config, request, options) => send(graph, config, request, options),
    typing: (config, to, _inReplyTo, signal) => typing(graph, config, to, signal),
    fetchMedia: (_config, media, maxBytes, signal) => fetchMedia(graph, media, maxBytes, signal),
    check: (config, signal) => check(graph, config, signal),
  }
}
