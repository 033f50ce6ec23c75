import { AppError, toWireError, type Logger } from '@trunkline/core'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createProxyServer } from 'httpxy'
import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'

/**
 * Hands requests on to the voice processes, so that clients know one address. Nothing of them is read or logged: the
 * credential stands in a header, the query or the sub-protocol, and the voice checks it.
 */
export type VoiceProxy = {
  /** A WebSocket: bytes in both directions once the voice has agreed; its refusal otherwise. */
  tunnel(request: FastifyRequest, reply: FastifyReply): void
  forward(request: FastifyRequest, reply: FastifyReply): void
  /** Ends the tunnels. Their clients come back with their session id (see the voice's README). */
  close(): void
}

const UPGRADE_TIMEOUT_MS = 15_000
const ANSWER_TIMEOUT_MS = 30_000

/** `voiceUrl` undefined: every call throws AppError `unavailable`. */
export function createVoiceProxy(voiceUrl: string | undefined, log: Logger): VoiceProxy {
  const proxy = createProxyServer({ ...(voiceUrl === undefined ? {} : { target: voiceUrl }), changeOrigin: true, upgradeTimeout: UPGRADE_TIMEOUT_MS, proxyTimeout: ANSWER_TIMEOUT_MS })
  const tunnels = new Set<Socket>()
  const open = new WeakSet<Socket>()
  proxy.on('proxyReqWs', (onward, _request, socket) => {
    onward.once('upgrade', (_answer, voice) => {
      open.add(socket)
      // Pipes end each other, but do not learn of an end that was cut off.
      socket.once('close', () => voice.destroy())
      voice.once('close', () => socket.destroySoon())
    })
  })
  proxy.on('error', (error, _request, outlet) => {
    if (outlet instanceof Socket && open.has(outlet)) return
    log.warn({ code: (error as NodeJS.ErrnoException).code }, 'the voice did not answer')
    if (outlet instanceof Socket) refuseSocket(outlet)
    else if (outlet) refuseRequest(outlet)
  })
  const reach = () => {
    if (voiceUrl === undefined) throw new AppError('unavailable', { message: 'This installation has no voice processes: VOICE_URL is not set.' })
  }
  return {
    tunnel(request, reply) {
      reach()
      reply.hijack()
      const { socket } = request.raw
      reply.raw.detachSocket(socket)
      tunnels.add(socket)
      socket.once('close', () => tunnels.delete(socket))
      void proxy.ws(request.raw, socket, {})
    },
    forward(request, reply) {
      reach()
      reply.hijack()
      // What our hooks have set (request id, CORS) belongs to the answer, whoever writes it.
      for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value)
      void proxy.web(request.raw, reply.raw)
    },
    close: () => tunnels.forEach((socket) => socket.destroy()),
  }
}

const body = () => JSON.stringify(toWireError(new AppError('unavailable', { message: 'The voice processes do not answer.' }), ''))

function refuseSocket(socket: Socket): void {
  if (!socket.writable) return
  const text = body()
  socket.end(`HTTP/1.1 503 Refused\r\nContent-Type: application/json\r\nRetry-After: 1\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`)
}

function refuseRequest(response: ServerResponse): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '1' }).end(body())
}
