import type { z } from 'zod'
import {
  createRealtimeSession,
  realtimeDefaults,
  receive,
  restore,
  resumeRealtimeSession,
  serialise,
  SERVER_EVENTS,
  step,
  type Effect,
  type Happening,
  type ServerEvent,
  type SessionOptions,
  type SessionState,
  type Step,
} from '../../src/realtime/index.ts'
import { agentsEvents, agentsItems, typesKnownTo } from './clients.ts'

/**
 * Drives a session in a test and checks at every step what must hold at every step: the state before was not touched, and
 * every event is whole by our own schema and readable by the strictest client that we know.
 */
export const SEED = 'Test'

export function options(changes: Partial<SessionOptions> = {}): SessionOptions {
  return {
    config: realtimeDefaults({ model: 'agent', voice: 'alloy' }),
    expiresAtS: 1_800_000_000,
    transcriptionModel: 'whisper-1',
    playout: 'client',
    idSeed: SEED,
    ...changes,
  }
}

const { realtimeServerEventSchema } = await agentsEvents()
const { realtimeMessageItemSchema } = await agentsItems()
const knownToAgents = typesKnownTo(realtimeServerEventSchema)

/** Pictures are the one thing in our events that `@openai/agents-realtime` has no word for. */
const hasPicture = (event: ServerEvent): boolean => JSON.stringify(event).includes('"input_image"')

export function checkEvent(event: ServerEvent): void {
  const own = (SERVER_EVENTS[event.type] as z.ZodType).safeParse(event)
  if (!own.success) throw new Error(`${event.type} is not whole: ${own.error.message}`)
  if (!knownToAgents.has(event.type) || hasPicture(event)) return
  const theirs = realtimeServerEventSchema.safeParse(event)
  if (!theirs.success) throw new Error(`${event.type} is refused by @openai/agents-realtime: ${theirs.error.message}`)
  if ('item' in event && event.item.type === 'message') realtimeMessageItemSchema.parse({ ...event.item, itemId: event.item.id })
}

export function freeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) freeze(inner)
  }
  return value
}

export type Driver = {
  /** What a client sends, as an object or as raw text. */
  client(message: object | string): ServerEvent[]
  happen(happening: Happening): ServerEvent[]
  /** Another process goes on with the stored state. */
  takeOver(how: { engineLost: boolean }): ServerEvent[]
  state(): SessionState
  /** Everything since the beginning. */
  events: ServerEvent[]
  effects: Effect[]
  /** Effects of the last step. */
  last(): Effect[]
  /** The id of the response that was started last. */
  responseId(): string
}

export function drive(changes: Partial<SessionOptions> = {}): Driver {
  const events: ServerEvent[] = []
  const effects: Effect[] = []
  let now = createRealtimeSession(options(changes))
  const take = (next: Step): ServerEvent[] => {
    now = freeze(next)
    for (const event of next.send) checkEvent(event)
    events.push(...next.send)
    effects.push(...next.effects)
    return next.send
  }
  take(now)
  return {
    client: (message) => take(receive(now.state, typeof message === 'string' ? message : JSON.stringify(message))),
    happen: (happening) => take(step(now.state, happening)),
    takeOver: (how) => take(resumeRealtimeSession(restore(serialise(now.state)), how)),
    state: () => now.state,
    events,
    effects,
    last: () => now.effects,
    responseId: () => effects.findLast((effect) => effect.type === 'start_response')?.request.responseId ?? 'none',
  }
}

export const typesOf = (events: readonly ServerEvent[]): string[] => events.map((event) => event.type)

/** Silence of this length in the default format, as a client appends it. */
export const appended = (ms: number): object => ({ type: 'input_audio_buffer.append', audio: Buffer.alloc(ms * 48).toString('base64') })

export const errorOf = (events: readonly ServerEvent[]) => {
  const error = events.find((event) => event.type === 'error')
  return error?.type === 'error' ? error.error : null
}
