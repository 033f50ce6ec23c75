import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A server that plays a platform's exact answers, for tests of clients. Listens on 127.0.0.1 only. */

export type SeenRequest = { method: string; path: string; headers: IncomingMessage['headers']; body: unknown }
export type Answer = (request: SeenRequest, response: ServerResponse, socket: Socket) => void

export type Stage = {
  baseUrl: string
  seen: SeenRequest[]
  /** What the next requests are answered with, until it is set again. */
  play(answer: Answer): void
  close(): Promise<void>
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  return text === '' ? undefined : (JSON.parse(text) as unknown)
}

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

export const plain =
  (status: number, body: string, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)

/** Takes the request and never answers. */
export const silence: Answer = () => undefined

/** Takes the request and drops the connection. */
export const hangUp: Answer = (_request, _response, socket) => void socket.destroy()

/** Says that more will come, and drops the connection. */
export const breakOff =
  (status: number): Answer =>
  (_, response, socket) => {
    response.writeHead(status, { 'content-length': '500' })
    response.write('{"messages":[{"id":', () => socket.destroy())
  }

export async function openStage(): Promise<Stage> {
  let answer: Answer = json(500, {})
  const seen: SeenRequest[] = []
  const server: Server = createServer((request, response) => {
    void readJson(request).then((body) => {
      const entry = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body }
      seen.push(entry)
      answer(entry, response, request.socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    seen,
    play: (next) => void (answer = next),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
