import { AppError, type InboundEvent } from '@trunkline/core'
import { record } from './json.ts'

/** A body that holds more is not a webhook of any platform: Meta batches at most 1,000 (developers.facebook.com/docs/graph-api/webhooks/getting-started). */
export const EVENTS_MAX = 1000

/** Collects the events of one body and refuses a flood. */
export class EventList {
  readonly events: InboundEvent[] = []

  add(...events: InboundEvent[]): void {
    this.events.push(...events)
    if (this.events.length > EVENTS_MAX) {
      throw new AppError('invalid_request', { message: `A body may hold at most ${EVENTS_MAX} events.`, param: 'body.entry' })
    }
  }
}

/** Meta's envelope: `{object, entry: [...]}`. Throws AppError `invalid_request` naming what is wrong with it. */
export function metaEntries(body: unknown, object: string): unknown[] {
  const envelope = record(body)
  if (!envelope) throw new AppError('invalid_request', { message: 'The body must be a JSON object.', param: 'body' })
  if (envelope.object !== object) throw new AppError('invalid_request', { message: `Expected "${object}".`, param: 'body.object' })
  if (!Array.isArray(envelope.entry)) throw new AppError('invalid_request', { message: 'Expected an array.', param: 'body.entry' })
  return envelope.entry as unknown[]
}

