import { once } from 'node:events'
import { WebSocket } from 'ws'
import { Histogram, type HistogramCounts } from '../measure/histogram.ts'
import { serveJobs } from '../stage/actor.ts'

/** Those who talk, in a process of their own. */
export type ClientsJob =
  /** So many more sockets, each until its session is there. */
  | { do: 'dial'; url: string; key: string; count: number }
  /** The first so many say something every second, and send sound if asked to. Answers how long until each was heard. */
  | { do: 'talk'; count: number; forMs: number; sound: boolean }
  /** The first so many lose their sockets and come back at another address. Answers how long until each has its session. */
  | { do: 'return'; url: string; key: string; count: number }
  | { do: 'hang up' }

export type Talked = { trips: HistogramCounts; lost: number; broken: number }

const DIALLING_AT_ONCE = 64
const SAY_EVERY_MS = 1_000
const SOUND_EVERY_MS = 100
/** 100 ms of silence at 24 kHz. */
const APPEND = JSON.stringify({ type: 'input_audio_buffer.append', audio: Buffer.alloc(4_800).toString('base64') })
const TICK_MS = 5
const SETTLE_MS = 2_000

type Client = { socket: WebSocket; sessionId: string; said: number; atMs: number | null; sayAtMs: number; soundAtMs: number; onHeard: ((ms: number) => void) | null }
let clients: Client[] = []
let broken = 0

async function dialOne(url: string, key: string): Promise<Client> {
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${key}` }, perMessageDeflate: false, skipUTF8Validation: true })
  const [first] = (await once(socket, 'message')) as [Buffer]
  const { session } = JSON.parse(first.toString()) as { session?: { id: string } }
  const client: Client = { socket, sessionId: session?.id ?? '', said: 0, atMs: null, sayAtMs: 0, soundAtMs: 0, onHeard: null }
  socket.on('message', (data: Buffer) => heard(client, data))
  socket.on('close', () => (broken += 1))
  socket.on('error', () => {})
  return client
}

/** Looks at the beginning only: what is measured is the server. */
function heard(client: Client, data: Buffer): void {
  if (client.atMs === null) return
  const head = data.toString('latin1', 0, 64)
  if (!head.includes('item.done') && !head.includes('item.create"')) return
  client.onHeard?.(performance.now() - client.atMs)
  client.atMs = null
}

async function dial({ url, key, count }: Extract<ClientsJob, { do: 'dial' }>): Promise<void> {
  let left = count
  const line = async () => {
    while (left-- > 0) clients.push(await dialOne(url, key))
  }
  await Promise.all(Array.from({ length: DIALLING_AT_ONCE }, line))
}

/** One item is in the conversation at a time: it stays as short as it was. */
function say(client: Client): void {
  const id = `item_${client.said++}`
  if (client.said > 1) client.socket.send(`{"type":"conversation.item.delete","item_id":"item_${client.said - 2}"}`)
  client.atMs = performance.now()
  client.socket.send(`{"type":"conversation.item.create","item":{"id":"${id}","type":"message","role":"user","content":[{"type":"input_text","text":"When do you open?"}]}}`)
}

function makeSound(client: Client, nowMs: number): void {
  for (; client.soundAtMs <= nowMs; client.soundAtMs += SOUND_EVERY_MS) client.socket.send(APPEND)
}

async function talk({ count, forMs, sound }: Extract<ClientsJob, { do: 'talk' }>): Promise<Talked> {
  const trips = new Histogram()
  const speakers = clients.slice(0, count)
  const [beganMs, brokenBefore] = [performance.now(), broken]
  let lost = 0
  for (const [place, client] of speakers.entries()) {
    client.onHeard = (ms) => trips.add(ms)
    client.sayAtMs = beganMs + (place * SAY_EVERY_MS) / count
    client.soundAtMs = beganMs + (place * SOUND_EVERY_MS) / count
  }
  const timer = setInterval(() => {
    const nowMs = performance.now()
    for (const client of speakers) {
      if (client.socket.readyState !== WebSocket.OPEN) continue
      if (sound) makeSound(client, nowMs)
      if (client.sayAtMs > nowMs) continue
      client.sayAtMs += SAY_EVERY_MS
      if (client.atMs === null) say(client)
      else lost += 1
    }
  }, TICK_MS)
  await new Promise((resolve) => setTimeout(resolve, forMs))
  clearInterval(timer)
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  for (const client of speakers) {
    if (client.atMs !== null) lost += 1
    client.atMs = null
  }
  return { trips: trips.counts(), lost, broken: broken - brokenBefore }
}

async function comeBack({ url, key, count }: Extract<ClientsJob, { do: 'return' }>): Promise<HistogramCounts> {
  const times = new Histogram()
  for (const client of clients.slice(0, count)) {
    client.socket.terminate()
    const begunMs = performance.now()
    const back = await dialOne(`${url}&session_id=${client.sessionId}`, key)
    times.add(performance.now() - begunMs)
    if (back.sessionId !== client.sessionId) throw new Error('came back to another session')
    back.socket.terminate()
  }
  return times.counts()
}

async function hangUp(): Promise<void> {
  const leaving = clients
  clients = []
  for (const { socket } of leaving) socket.terminate()
}

serveJobs<ClientsJob>(async (job): Promise<unknown> => {
  switch (job.do) {
    case 'dial': return dial(job)
    case 'talk': return talk(job)
    case 'return': return comeBack(job)
    case 'hang up': return hangUp()
  }
})
