import type { ServerEvent, ServerEventOf, ServerEventType } from '../../src/realtime/index.ts'
import { appended, type Driver } from './driver.ts'

/** Small scenes that many tests begin with. */
export function only<Type extends ServerEventType>(events: readonly ServerEvent[], type: Type): ServerEventOf<Type> {
  const found = events.filter((event) => event.type === type)
  if (found.length !== 1) throw new Error(`expected one ${type} and found ${found.length} in: ${events.map((event) => event.type).join(', ')}`)
  return found[0] as ServerEventOf<Type>
}

export const pcm = (ms: number): Uint8Array => new Uint8Array(ms * 48)

export const update = (session: object) => ({ type: 'session.update', event_id: 'e', session: { type: 'realtime', ...session } })

export const message = (text: string, more: { previous_item_id?: string; item?: object } = {}) => ({
  type: 'conversation.item.create',
  ...more,
  item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }], ...more.item },
})

/** A caller said something; the answer has begun. Gives the id of the response. */
export function spoken(session: Driver): string {
  session.client(appended(2_000))
  const { totalMs } = session.state().input
  session.happen({ type: 'speech_started', atMs: totalMs - 1_500 })
  session.happen({ type: 'speech_stopped', atMs: totalMs - 200 })
  return session.responseId()
}

/** Two words in 400 ms. Gives the id of the message. */
export function answer(session: Driver, responseId: string): string {
  const sent = session.happen({ type: 'speech_text', responseId, delta: 'Hello there' })
  session.happen({ type: 'speech_audio', responseId, audio: pcm(400), ms: 400 })
  return only(sent, 'response.output_item.added').item.id
}
