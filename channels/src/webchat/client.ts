import { AppError, type ChannelClient, type ChannelClientDeps, type NumberConfig, type SendOptions, type SendOutcome, type WireRequest } from '@trunkline/core'
import { joinedId, record } from '../json.ts'

/** The supplier is ourselves: a message is handed to the visitor's sockets, and waits in the conversation for those that come later. */

/**
 * The id comes from the attempt's callback data: handing the same attempt out again is harmless, because the widget shows an id once.
 * That is why a failure here may always be tried again and `unknown` does not occur.
 */
async function send(deps: ChannelClientDeps, config: NumberConfig, request: WireRequest, options: SendOptions): Promise<SendOutcome> {
  const { visitor_id: visitorId, ...message } = request.body
  const providerMessageId = joinedId('web-out', options.callbackData)
  if (typeof visitorId !== 'string' || !record(message.content)) {
    return { status: 'rejected', policy: 'final', code: 'invalid_request', message: 'The request names no visitor or has no content.' }
  }
  try {
    await deliverer(deps)(config.numberId, visitorId, { type: 'message', id: providerMessageId, ...message })
    return { status: 'accepted', providerMessageId }
  } catch (error) {
    if (error instanceof AppError && !error.retry) return { status: 'rejected', policy: 'final', code: error.code, message: error.message }
    return { status: 'rejected', policy: 'retry', code: 'not_delivered', message: 'The message could not be handed to the sockets.', retryAfterMs: 1_000 }
  }
}

function deliverer(deps: ChannelClientDeps): NonNullable<ChannelClientDeps['deliverLocal']> {
  if (!deps.deliverLocal) throw new AppError('internal', { message: 'Web chat needs deps.deliverLocal.' })
  return deps.deliverLocal
}

export function client(deps: ChannelClientDeps): ChannelClient {
  return {
    send: (config, request, options) => send(deps, config, request, options),
    async typing(config, to, inReplyTo) {
      await deps.deliverLocal?.(config.numberId, to.value, { type: 'typing', in_reply_to: inReplyTo }).catch(() => undefined)
    },
    async fetchMedia() {
      throw new AppError('not_found', { message: 'Files of web chat are stored when they are uploaded.', param: 'media' })
    },
    async check() {
      // Nothing to ask: the chat has no supplier and no secret.
    },
  }
}
