import { createServer } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type SeenRequest = { method: string; path: string; headers: IncomingHttpHeaders; body: Record<string, unknown> }
/** Answers one model call. The connection is real: a step may write half an answer, hang, or tear the socket. */
export type Step = (response: ServerResponse, request: SeenRequest) => void | Promise<void>

/** The double of a model supplier: a real HTTP server that plays a script, one step per model call, in the supplier's wire format. */
export type ScriptedVendor = {
  origin: string
  /** All requests so far, conversations included. */
  requests: SeenRequest[]
  /** Only the model calls. */
  calls(): SeenRequest[]
  /** Appends steps. A call without a step is answered 500, so that a test notices. */
  script(...steps: Step[]): void
  /** Resolves when `count` model calls have arrived. */
  arrived(count: number): Promise<void>
  close(): Promise<void>
}

const MODEL_PATHS = /\/(responses|chat\/completions|messages)$/

export async function startScriptedVendor(): Promise<ScriptedVendor> {
  const requests: SeenRequest[] = []
  const steps: Step[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  let conversations = 0
  const calls = () => requests.filter((request) => MODEL_PATHS.test(request.path))

  const answer = async (incoming: IncomingMessage, response: ServerResponse) => {
    const request = await read(incoming)
    requests.push(request)
    if (request.path.endsWith('/conversations')) return sendJson(response, 200, { id: `conv_${++conversations}`, object: 'conversation', created_at: 1_790_000_000, metadata: request.body.metadata ?? {} })
    for (const waiter of waiting) if (calls().length >= waiter.count) waiter.resolve()
    const step = steps.shift()
    if (!step) return sendJson(response, 500, { error: { message: 'the script has ended', type: 'server_error' } })
    await step(response, request)
  }
  const server = createServer((incoming, response) => void answer(incoming, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    calls,
    script: (...more) => void steps.push(...more),
    arrived: (count) => new Promise((resolve) => (calls().length >= count ? resolve() : void waiting.push({ count, resolve }))),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function read(incoming: IncomingMessage): Promise<SeenRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  return { method: incoming.method!, path: incoming.url!.split('?')[0]!, headers: incoming.headers, body: text ? JSON.parse(text) : {} }
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_scripted', 'request-id': 'req_scripted', ...headers })
  response.end(JSON.stringify(body))
}

/** Opens a server-sent event stream. `named`: OpenAI Responses and Anthropic name their events, chat completions do not. */
export function openStream(response: ServerResponse): { send(data: unknown, name?: string): void } {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-request-id': 'req_scripted', 'request-id': 'req_scripted' })
  return {
    send(data, name) {
      response.write(`${name ? `event: ${name}\n` : ''}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
    },
  }
}

/** Takes the request and says nothing, for ever. */
export const hang: Step = () => undefined
/** Tears the connection before any answer. */
export const reset: Step = (response) => void response.destroy()
/** 200 with bytes that are no event stream. */
export const garbage: Step = (response) => {
  const stream = openStream(response)
  stream.send('{"not json')
  response.end()
}
export const errorStep =
  (status: number, error: Record<string, unknown>, headers: Record<string, string> = {}): Step =>
  (response) =>
    sendJson(response, status, { error }, headers)
