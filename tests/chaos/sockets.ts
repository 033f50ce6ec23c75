import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { realtime } from '@trunkline/channels'
import { seededChance, type Chance } from '@trunkline/core'
import { WebSocket } from 'ws'
import { CLIENT_SAMPLES } from '../../channels/testing/realtime/messages.ts'
import { observe } from '../../channels/testing/realtime/observer.ts'
import { openBusiness, type Business, type Json } from '../flow/business.ts'
import { FrameClient } from '../harness/frames.ts'
import type { SpawnedNode } from '../harness/processes.ts'
import { eventListener, realtimeTalk, webVisitor, type Bystander } from './bystanders.ts'
import { openFleet, type Fleet } from './fleet.ts'
import type { Ground } from './ground.ts'
import { mutantOf } from './mutants.ts'
import { NO_LETTERS, type Counts, type Scenario } from './scenario.ts'

// Mutated messages on every kind of socket but those of carriers (phone.ts), with good credentials, while somebody beside them goes on working.

const MEMORY_MIB = 250
const SOCKETS_AT_ONCE = 4

/** `other`: a business of somebody else. */
type Scene = { fleet: Fleet; business: Business; other: Business; broken: string[] }
/** Sends so many mutants over one socket, and says what was wrong with the answers. */
type Abuse = (chance: Chance, count: number) => Promise<string[]>
type Stage = { victim: SpawnedNode; bystander: Bystander; perSocket: number; abuse: Abuse }

export async function play(ground: Ground, size: number, seed: number, settings: Record<string, string>, open: (scene: Scene) => Promise<Stage>): Promise<Counts> {
  const startedMs = performance.now()
  const fleet = await openFleet(ground, { numbers: 0, workers: 1, settings: { LOG_LEVEL: 'error', ...settings } })
  const broken: string[] = []
  try {
    const { victim, bystander, perSocket, abuse } = await open({ fleet, business: await openBusiness(fleet), other: await openBusiness(fleet, 'Next Door'), broken })
    await bystander.once()
    const before = residentMiB(victim)
    const working = bystander.begin()
    await spread(size, perSocket, async (nth, count) => {
      for (const fault of await abuse(seededChance(seed + nth), count)) broken.push(`socket ${nth}: ${fault}`)
    })
    const served = await working.end()
    await bystander.once()
    await bystander.close()
    if (served === 0) broken.push('nobody beside it was served meanwhile')
    const after = residentMiB(victim)
    if (after - before > MEMORY_MIB) broken.push(`memory grew from ${before} to ${after} MiB`)
    if (!victim.report().includes('still running')) broken.push(`the process has ended: ${victim.report()}`)
    for (const line of [fleet.api, victim].flatMap(({ stdout, stderr }) => [...stdout, ...stderr])) if (!line.includes('"ready"')) broken.push(`it complained: ${line.slice(0, 500)}`)
    console.log(`  ${size} mutants, ${served} answers to somebody beside them, ${before} MiB before and ${after} after`)
    return { ...NO_LETTERS, messages: size, faults: size, broken: [...new Set(broken)].slice(0, 50), tookMs: Math.round(performance.now() - startedMs) }
  } finally {
    await fleet.close()
  }
}

const residentMiB = ({ pid }: SpawnedNode): number => Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024)

/** Some sockets at a time, each with its share. */
async function spread(size: number, perSocket: number, run: (nth: number, count: number) => Promise<void>): Promise<void> {
  let [left, nth] = [size, 0]
  const one = async () => {
    while (left > 0) {
      const count = Math.min(perSocket, left)
      left -= count
      await run(nth++, count)
    }
  }
  await Promise.all(Array.from({ length: SOCKETS_AT_ONCE }, one))
}

/** A refusal over HTTP is a fault, too: these credentials are good. */
async function dial(url: string, options: { headers?: Record<string, string> }): Promise<FrameClient<Json>> {
  const socket = new WebSocket(url, { ...options, perMessageDeflate: false })
  const client = new FrameClient<Json>(socket)
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve())
    socket.once('error', reject)
  })
  return client
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
/** What is told must be told so that a person understands it. */
const isClear = (error: Json): boolean => typeof error?.code === 'string' && typeof error.message === 'string' && error.message.length > 3 && error.code !== 'internal'

// ---------------------------------------------------------------- /v1/realtime

/** Answered by an error of its own when everything before it has been answered. */
export const FENCE = { type: 'conversation.item.retrieve', event_id: 'fence', item_id: 'item_of_nobody' }

/** Every mutant that is no event of the protocol is answered by one error of its own code, in order; the rest keeps the story of the session consistent. */
export function judgeRealtime(sent: readonly string[], events: readonly Json[]): string[] {
  const faults: string[] = []
  const errors = events.filter(({ type, error }) => type === 'error' && error.event_id !== FENCE.event_id)
  const told = errors.map(({ error }) => error.code)
  // As it arrives: half a character is none on the wire.
  const refused = sent.map((text) => realtime.parseClientMessage(text.toWellFormed())).flatMap((parsed) => (parsed.ok ? [] : [parsed.refusal.code as string]))
  let at = 0
  for (const code of told) if (code === refused[at]) at++
  if (at < refused.length) faults.push(`${refused.length} messages were no events, and only ${at} errors told so`)
  const noJson = sent.filter((text) => !isJson(text)).length
  if (told.filter((code) => code === 'invalid_json').length !== noJson) faults.push(`${noJson} messages were no JSON, and ${told.filter((code) => code === 'invalid_json').length} were told so`)
  if (errors.length > sent.length) faults.push(`${errors.length} errors for ${sent.length} messages`)
  for (const { error } of errors) if (!isClear(error) || error.type === 'server_error') faults.push(`unclear: ${JSON.stringify(error)}`)
  try {
    const observer = observe()
    for (const event of events) observer.see(event)
  } catch (error) {
    faults.push(`the session contradicts itself: ${(error as Error).message}`)
  }
  return faults
}

async function abuseRealtime(url: string, key: string, chance: Chance, count: number): Promise<string[]> {
  const client = await dial(`${url.replace('http', 'ws')}/v1/realtime?model=gpt-realtime`, { headers: { authorization: `Bearer ${key}` } })
  await client.frame('session.created')
  const sent = Array.from({ length: count }, () => mutantOf(chance.pick(CLIENT_SAMPLES), chance))
  for (const text of sent) client.send(text)
  client.send(FENCE)
  const code = await Promise.race([client.until((frames) => frames.some(({ error }) => error?.event_id === FENCE.event_id), 60_000).then(() => null), client.closed])
  const faults = judgeRealtime(sent, client.frames)
  await client.end()
  return code === null ? faults : [...faults, `the socket was closed with ${code}`]
}

/** What is asked of a model is limited as it is everywhere: a mutant may well be a good request. */
export const mutateRealtime: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, business, other, broken }) => {
    const victim = await fleet.startVoice()
    return { victim, bystander: await realtimeTalk(fleet.voiceUrl, other.key, broken), perSocket: 500, abuse: (chance, count) => abuseRealtime(fleet.voiceUrl, business.key, chance, count) }
  })

// ---------------------------------------------------------------- /v1/events

/** With two more for a fence and a frame that is too large, as many as a socket may send at once. */
const EVENT_FRAMES = 18
const EVENT_FRAME_BYTES = 4_096
const EVENT_SAMPLES: readonly object[] = [
  { type: 'ping' },
  { type: 'subscribe', types: ['message.*', 'call.ended'], conversation_id: '0199aa00-0000-7000-8000-000000000001' },
  { type: 'subscribe', types: ['lead.*'], project_id: null },
  { type: 'subscribe', conversation_id: null },
]
const EVENT_ERRORS = ['invalid_json', 'invalid_request', 'permission_denied']

/** Every frame is answered by one, in order; one that is too large closes the socket with the standard's code. */
async function abuseEvents(apiUrl: string, key: string, chance: Chance, count: number): Promise<string[]> {
  const client = await dial(`${apiUrl.replace('http', 'ws')}/v1/events`, { headers: { authorization: `Bearer ${key}` } })
  await client.frame('ready')
  const all = Array.from({ length: count }, () => mutantOf(chance.pick(EVENT_SAMPLES), chance))
  const [large, sent] = [all.filter(isLarge), all.filter((text) => !isLarge(text))]
  for (const text of sent) client.send(text)
  const answers = () => client.frames.filter(({ type }) => type === 'pong' || type === 'subscribed' || type === 'error')
  const code = await Promise.race([client.until(() => answers().length >= sent.length).then(() => null), client.closed])
  if (code !== null) return [`closed with ${code} after ${answers().length} answers to ${sent.length} frames`]
  const faults = sent.flatMap((text, nth) => unfit(text, answers()[nth], EVENT_ERRORS))
  if (large.length === 0) await client.end()
  for (const text of large.slice(0, 1)) client.send(text)
  const closed = await client.closed
  if (large.length > 0 && closed !== 1009) faults.push(`a frame of ${large[0]!.length} characters closed the socket with ${closed}`)
  if (answers().length !== sent.length) faults.push(`${answers().length} answers to ${sent.length} frames`)
  return faults
}

const isLarge = (text: string): boolean => Buffer.byteLength(text) > EVENT_FRAME_BYTES

function unfit(text: string, answer: Json, codes: readonly string[]): string[] {
  const shown = `${JSON.stringify(answer).slice(0, 300)} to ${JSON.stringify(text).slice(0, 200)}`
  if (!isJson(text) && answer.error?.code !== 'invalid_json') return [`no JSON, and told ${shown}`]
  if (answer.type !== 'error') return []
  return isClear(answer.error) && codes.includes(answer.error.code) && String(answer.error.param).startsWith('frame') ? [] : [`unclear: ${shown}`]
}

/** Thousands of sockets are opened: how often one may knock has tests of its own. */
const OPEN_DOORS = { RATE_LIMIT_TENANT: '0', RATE_LIMIT_PROJECT: '0' }

export const mutateEvents: Scenario = (ground, size, seed) =>
  play(ground, size, seed, OPEN_DOORS, async ({ fleet, business, broken }) => ({
    victim: fleet.api, bystander: await eventListener(fleet, business, broken), perSocket: EVENT_FRAMES, abuse: (chance, count) => abuseEvents(fleet.apiUrl, business.key, chance, count),
  }))

// ---------------------------------------------------------------- the web chat

const CHAT_FRAMES = 18
/** Codes with which the protocol of the web chat ends a socket for what was sent. */
const CHAT_CLOSES = [1008, 1013, 4401]

const chatSamples = (token: string): readonly object[] => [
  { type: 'hello', token, last_seq: 3 },
  { type: 'hello', token, have: '0-4,6-9' },
  { type: 'message', client_message_id: 'c_1', text: 'When do you open?', page_url: 'https://shop.example.com/bikes', page_title: 'Bikes', pre_chat: { name: 'Ada', email: 'ada@example.com' } },
  { type: 'message', client_message_id: 'c_2', choice: { id: 'book', title: 'Book a table' } },
  { type: 'message', client_message_id: 'c_3', media_id: '0199aa00-0000-7000-8000-000000000001', caption: 'This one' },
  { type: 'typing' },
  { type: 'read', seq: 12 },
  { type: 'ping' },
]

/** Whether a frame may go without an answer: typing and reading have none. */
function isQuiet(text: string): boolean {
  if (!isJson(text)) return false
  const { type, ...rest } = (JSON.parse(text) ?? {}) as { type?: unknown; seq?: unknown }
  if (type === 'typing') return Object.keys(rest).length === 0
  return type === 'read' && Object.keys(rest).join() === 'seq' && Number.isSafeInteger(rest.seq) && (rest.seq as number) >= 0
}

const PING = '{"type":"ping"}'
/** As the last one says: the fence behind everything that is answered at once. */
const isPing = (text: string): boolean => isJson(text) && isDeepStrictEqual(JSON.parse(text), JSON.parse(PING))

/** Half of them have said hello. */
async function abuseChat(visitor: { socketUrl: string; origin: string; token: string }, chance: Chance, count: number): Promise<string[]> {
  const client = await dial(visitor.socketUrl, { headers: { origin: visitor.origin } })
  const greeted = chance.happens(0.5)
  if (greeted) {
    client.send({ type: 'hello', token: visitor.token })
    await Promise.race([client.frame('ready'), client.closed])
  }
  const sent = Array.from({ length: count }, () => mutantOf(chance.pick(chatSamples(visitor.token)), chance))
  for (const text of [...sent, PING]) client.send(text)
  const wanted = sent.filter((text) => !isQuiet(text)).length + 1
  const pings = sent.filter(isPing).length + 1
  const pongs = () => client.frames.filter(({ type }) => type === 'pong').length
  const answers = () => client.frames.filter(({ type }) => type === 'pong' || type === 'ack' || type === 'error' || type === 'ready').length - (greeted ? 1 : 0)
  const code = await Promise.race([client.until(() => pongs() === pings && answers() >= wanted, 30_000).then(() => null, () => 'silence' as const), client.closed])
  const faults: string[] = []
  if (code === 'silence') faults.push(`${answers()} answers to ${wanted} frames of ${sent.length}: ${JSON.stringify(sent).slice(0, 3_000)}`)
  if (typeof code === 'number' && !CHAT_CLOSES.includes(code)) faults.push(`closed with ${code}`)
  for (const { error } of client.frames) if (error !== undefined && !isClear(error)) faults.push(`unclear: ${JSON.stringify(error)}`)
  const told = client.frames.filter(({ error }) => error?.code === 'invalid_json').length
  const noJson = sent.filter((text) => !isJson(text)).length
  if (code === null && told !== noJson) faults.push(`${noJson} frames were no JSON, and ${told} were told so`)
  await client.end()
  return faults
}

export const mutateWebchat: Scenario = (ground, size, seed) =>
  play(ground, size, seed, OPEN_DOORS, async ({ fleet, business, broken }) => {
    const bystander = await webVisitor(fleet, business, broken)
    const abusers = await Promise.all(Array.from({ length: SOCKETS_AT_ONCE }, () => bystander.another()))
    return { victim: fleet.api, bystander, perSocket: CHAT_FRAMES, abuse: (chance, count) => abuseChat(chance.pick(abusers), chance, count) }
  })
