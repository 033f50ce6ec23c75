import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import type { RawWebhook } from '@trunkline/core'
import type { CallEvent, CallInstructionInput, Carrier, CarrierClient, CarrierConfig, MediaEvent, MediaWire } from '../src/carriers/index.ts'

/** The smallest business that can be called: a webhook, a media socket, and what came in through both. Everything is verified. Listens on 127.0.0.1 only. */

export type Line = {
  wire: MediaWire
  socket: WebSocket
  events: MediaEvent[]
  /** Raw, as it came. */
  texts: string[]
  /** The token of the path. */
  token: string
  send(text: string): void
}

export type Business = {
  /** `http://127.0.0.1:port`. */
  url: string
  /** `ws://127.0.0.1:port/media/TOKEN`. */
  mediaUrl(token?: string): string
  events: CallEvent[]
  refused: string[]
  lines: Line[]
  /** What the next calls are told; by the event that asks. */
  instruct(plan: (event: CallEvent) => CallInstructionInput[] | null): void
  /** The first event that fits, past ones included. */
  event(fits: (event: CallEvent) => boolean, timeoutMs?: number): Promise<CallEvent>
  line(index?: number, timeoutMs?: number): Promise<Line>
  close(): Promise<void>
}

export type BusinessOptions = { carrier: Carrier; config: CarrierConfig; client: CarrierClient; /** What the sockets of the carrier must bring along (Telnyx). */ authToken?: string }

const WAIT_MS = 10_000

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const headersOf = ({ headers }: IncomingMessage): RawWebhook['headers'] => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]))

/** Lists that tests wait on. */
function watched<Item>(): { items: Item[]; add(item: Item): void; wait(fits: (item: Item, index: number) => boolean, timeoutMs: number, what: string): Promise<Item> } {
  const items: Item[] = []
  const waiters = new Set<() => void>()
  return {
    items,
    add(item) {
      items.push(item)
      for (const look of waiters) look()
    },
    wait: (fits, timeoutMs, what) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = items.find(fits)
          if (found === undefined) return
          stop()
          resolve(found)
        }
        const timer = setTimeout(() => {
          stop()
          reject(new Error(`No ${what} within ${timeoutMs} ms; there was: ${JSON.stringify(items.map((item) => (item as { kind?: string }).kind ?? 'one'))}`))
        }, timeoutMs)
        const stop = () => {
          clearTimeout(timer)
          waiters.delete(look)
        }
        waiters.add(look)
        look()
      }),
  }
}

const ASKS = new Set<CallEvent['kind']>(['call.initiated', 'call.next', 'call.transfer', 'call.other', 'call.answered'])

export async function openBusiness({ carrier, config, client, authToken }: BusinessOptions): Promise<Business> {
  const events = watched<CallEvent>()
  const lines = watched<Line>()
  const refused: string[] = []
  const busy = new Set<Promise<unknown>>()
  let plan: (event: CallEvent) => CallInstructionInput[] | null = () => null
  const { signal, abort } = abortable()
  const server = createServer((request, response) => void hear(request, response))
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  let url = ''

  async function hear(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const raw: RawWebhook = { headers: headersOf(request), body: await bodyOf(request), query: {} }
    if (!carrier.verify(raw, config, url + request.url!)) {
      refused.push(request.url!)
      return void response.writeHead(403).end()
    }
    const news = carrier.normaliseCall(carrier.readBody(raw), Date.now())
    for (const event of news) events.add(event)
    // Twilio asks with the webhook itself; a status callback wants nothing.
    const document = request.url!.startsWith('/status') ? null : answerTo(news)
    response.writeHead(200, document ? { 'content-type': document.contentType } : {}).end(document?.body ?? '')
  }

  function answerTo(news: CallEvent[]): { contentType: string; body: string } | null {
    const asking = news.findLast((event) => event.kind === 'call.next') ?? news.find((event) => ASKS.has(event.kind))
    const steps = asking?.kind === 'call.next' ? asking.instructions : asking && plan(asking)
    if (!asking || !steps) return null
    const context = { key: asking.eventId, carrierCallId: asking.carrierCallId, answered: asking.kind !== 'call.initiated', reference: asking.reference }
    const { document, commands } = carrier.answer(steps, context, config)
    const work = client.perform(config, asking.carrierCallId, commands, signal).catch(() => undefined)
    busy.add(work)
    void work.finally(() => busy.delete(work))
    return document
  }

  server.on('upgrade', (request, socket, head) => {
    const address = `${url.replace('http', 'ws')}${request.url!}`
    if (!carrier.verifySocket({ headers: headersOf(request) }, config, address, authToken)) {
      refused.push(request.url!)
      return void socket.end('HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n')
    }
    sockets.handleUpgrade(request, socket, head, (accepted) => listen(accepted, request.url!.split('/').at(-1)!))
  })

  function listen(socket: WebSocket, token: string): void {
    const line: Line = { wire: carrier.mediaWire(config), socket, events: [], texts: [], token, send: (text) => socket.send(text) }
    socket.on('message', (data) => {
      const text = (data as Buffer).toString('utf8')
      const event = line.wire.decode(text)
      line.texts.push(text)
      line.events.push(event)
      socket.emit('heard', event)
      if (event.kind === 'start') lines.add(line)
    })
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    get url() {
      return url
    },
    mediaUrl: (token = 'token') => `${url.replace('http', 'ws')}/media/${token}`,
    events: events.items,
    refused,
    lines: lines.items,
    instruct: (next) => void (plan = next),
    event: (fits, timeoutMs = WAIT_MS) => events.wait(fits, timeoutMs, 'such event'),
    line: (index = 0, timeoutMs = WAIT_MS) => lines.wait((_line, at) => at === index, timeoutMs, `line ${index}`),
    async close() {
      abort()
      for (const client of sockets.clients) client.terminate()
      await Promise.allSettled(busy)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function abortable(): { signal: AbortSignal; abort(): void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

/** The first event of a line that fits, past ones included. */
export function heard<Kind extends MediaEvent['kind']>(line: Line, kind: Kind, fits: (event: Extract<MediaEvent, { kind: Kind }>) => boolean = () => true, timeoutMs = WAIT_MS): Promise<Extract<MediaEvent, { kind: Kind }>> {
  type Wanted = Extract<MediaEvent, { kind: Kind }>
  const isIt = (event: MediaEvent): event is Wanted => event.kind === kind && fits(event as Wanted)
  const past = line.events.find(isIt)
  if (past) return Promise.resolve(past)
  return new Promise((resolve, reject) => {
    const look = (event: MediaEvent) => {
      if (!isIt(event)) return
      stop()
      resolve(event)
    }
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`No ${kind} within ${timeoutMs} ms`))
    }, timeoutMs)
    const stop = () => {
      clearTimeout(timer)
      line.socket.off('heard', look)
    }
    line.socket.on('heard', look)
  })
}
