import type { Refusal } from '../errors.ts'
import { serverEvent, type ServerEvent, type ServerEventFields, type ServerEventType } from '../server-events.ts'
import type { Effect } from './effects.ts'
import type { Fault } from './happenings.ts'
import type { State } from './state.ts'

/** What one input leads to. `send` goes to the client in this order. */
export type Step = { state: State; send: ServerEvent[]; effects: Effect[] }

/** One step being worked out. `state` is replaced, never written into: the caller's state stays as it was. */
export type Turn = { state: State; nextId: number; send: ServerEvent[]; effects: Effect[] }

export const begin = (state: State): Turn => ({ state, nextId: state.ids.next, send: [], effects: [] })

export function finish({ state, nextId, send, effects }: Turn): Step {
  const kept = nextId === state.ids.next ? state : { ...state, ids: { seed: state.ids.seed, next: nextId } }
  return { state: kept, send, effects }
}

/** `item_`, `resp_`, `event_`, ... and then as OpenAI's look: opaque letters and digits. */
export function newId(turn: Turn, prefix: 'item' | 'resp' | 'event' | 'req' | 'call'): string {
  const count = turn.nextId
  turn.nextId += 1
  return `${prefix}_${turn.state.ids.seed}${count.toString(36).padStart(4, '0')}`
}

export function emit<Type extends ServerEventType>(turn: Turn, type: Type, fields: ServerEventFields<Type>): void {
  turn.send.push(serverEvent(newId(turn, 'event'), type, fields))
}

/** The session goes on after it; `eventId` is the client's. */
export function emitRefusal(turn: Turn, refusal: Refusal, eventId: string | null): void {
  const { code, message, param } = refusal
  emit(turn, 'error', { error: { type: 'invalid_request_error', code, message, param, event_id: eventId } })
}

export function emitFault(turn: Turn, { type, code, message }: Fault): void {
  emit(turn, 'error', { error: { type, code, message, param: null, event_id: null } })
}

export function change(turn: Turn, fields: Partial<State>): void {
  turn.state = { ...turn.state, ...fields }
}

/** A measure that an engine gave: never negative, never NaN. */
export const measure = (value: number): number => (Number.isFinite(value) && value > 0 ? value : 0)
