import { AppError, InboundEvent, seededChance, type Channel, type MessageChannelId } from '@trunkline/core'
import { FIXTURE_NOW_MS, fixturesOf } from './fixtures.ts'
import type { Json } from '../src/json.ts'

/** Breaks recorded bodies in every way JSON can be broken. Whatever comes out must be events of the dictionary or a clear refusal. */

export type FuzzReport = { bodies: number; events: number; refused: number; slowestMs: number }

/** From 0 to below `below`; the same seed breaks the same way. */
const random = (seed: number): ((below: number) => number) => seededChance(seed).below
type Dice = ReturnType<typeof random>

/** Stand for JSON that an object cannot be written from: put in when the text is made. */
const DEEP = '@deep'
const INFINITE = '@infinite'

const JUNK: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  Number.MAX_SAFE_INTEGER + 2,
  INFINITE,
  '',
  ' ',
  'NaN',
  '1e999',
  'half \ud83d pair',
  'nul \u0000 byte',
  'x'.repeat(70_000),
  '👩‍👩‍👧‍👦'.repeat(200),
  'javascript:alert(1)',
  [],
  [null, [], {}],
  {},
  { id: {} },
  DEEP,
  Array.from({ length: 1_500 }, () => ({})),
  JSON.parse('{"__proto__": {"id": "x"}, "constructor": {"name": "y"}, "toString": 1}'),
]

const KEYS = ['__proto__', 'constructor', 'id', 'type', 'from', 'messages', 'is_echo', 'field', 'toString', ''] as const

type Slot = { holder: Json | unknown[]; key: string | number }

/** Every place in a body where something can be changed. */
function slots(value: unknown, found: Slot[] = []): Slot[] {
  if (typeof value !== 'object' || value === null || found.length > 5_000) return found
  const holder = value as Json | unknown[]
  const keys: (string | number)[] = Array.isArray(holder) ? holder.map((_, index) => index) : Object.keys(holder)
  for (const key of keys) {
    found.push({ holder, key })
    slots((holder as Json)[key], found)
  }
  return found
}

function set({ holder, key }: Slot, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
}

function get({ holder, key }: Slot): unknown {
  return (holder as Json)[key]
}

const copy = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null))
const asText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))

const MUTATIONS: readonly ((slot: Slot, all: Slot[], dice: Dice) => void)[] = [
  (slot, _, dice) => set(slot, copy(JUNK[dice(JUNK.length)])),
  (slot) => void (Array.isArray(slot.holder) ? slot.holder.splice(Number(slot.key), 1) : delete slot.holder[slot.key]),
  (slot, all, dice) => set(slot, copy(get(all[dice(all.length)]!))),
  (slot, _, dice) => set({ holder: slot.holder, key: Array.isArray(slot.holder) ? slot.holder.length : KEYS[dice(KEYS.length)]! }, copy(get(slot))),
  (slot) => set(slot, [get(slot)]),
  (slot) => set(slot, asText(get(slot))),
  (slot, _, dice) => set(slot, asText(get(slot)).slice(0, dice(8))),
  (slot) => void (Array.isArray(slot.holder) && slot.holder.push(...slot.holder.slice(0, 3).map(copy))),
]

const DEPTH = 20_000
/** Whole strings only, not the end of one that has a quote in it. */
const DEEP_VALUE = new RegExp(`(?<!\\\\)"${DEEP}"`)
const INFINITE_VALUE = new RegExp(`(?<!\\\\)"${INFINITE}"`, 'g')

/** One broken copy as it travels; text-level damage once in eight, as a proxy or a bug would do it. */
function broken(source: string, dice: Dice): string {
  if (dice(8) === 0) return brokenText(source, dice)
  const root = { body: JSON.parse(source) as unknown }
  for (let count = 1 + dice(4); count > 0; count -= 1) {
    const all = slots(root)
    if (all.length > 0) MUTATIONS[dice(MUTATIONS.length)]!(all[dice(all.length)]!, all, dice)
  }
  const text = JSON.stringify(root.body ?? null)
  return text.replace(DEEP_VALUE, '['.repeat(DEPTH) + ']'.repeat(DEPTH)).replaceAll(INFINITE_VALUE, '1e999')
}

function brokenText(source: string, dice: Dice): string {
  const at = dice(source.length)
  return dice(2) === 0 ? source.slice(0, at) + source.slice(at + 1 + dice(20)) : source.slice(0, at) + '"{}[]:,0e9\\nu'[dice(13)]! + source.slice(at + 1)
}

/** What is no JSON is tried as the text that it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/** Broken copies of JSON texts: the same arguments break the same way. */
export function* brokenTexts(sources: readonly string[], seed: number, count: number): Generator<string> {
  const dice = random(seed)
  for (let number = 0; number < count; number += 1) yield broken(sources[dice(sources.length)]!, dice)
}

/** The bodies of `fuzzBodies` as text, for whoever sends them over a wire. */
export function brokenBodies(id: MessageChannelId, seed: number, count: number): Generator<string> {
  return brokenTexts(fixturesOf(id).map((fixture) => JSON.stringify(fixture.body)), seed, count)
}

/** What Postgres cannot store, as JSON writes it: U+0000 and half a pair (a doubled backslash before it is only text). */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/

function checkEvents(events: InboundEvent[]): void {
  if (events.length > 1000) throw new Error(`${events.length} events`)
  for (const event of events) InboundEvent.parse(event)
  if (UNSTORABLE.test(JSON.stringify(events))) throw new Error('an event holds text that cannot be stored')
}

function outcome(channel: Channel, body: unknown): InboundEvent[] | 'refused' {
  try {
    return channel.normalise(body, FIXTURE_NOW_MS)
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_request' && error.param) return 'refused'
    throw error
  }
}

const SLOW_MS = 50

/** A slow run may be the machine's: only a body that is slow three times is a fault. */
function timed(channel: Channel, body: unknown): { result: InboundEvent[] | 'refused'; tookMs: number } {
  let tookMs = Number.POSITIVE_INFINITY
  let result: InboundEvent[] | 'refused' = 'refused'
  for (let tries = 0; tries < 3 && tookMs > SLOW_MS; tries += 1) {
    const startMs = performance.now()
    result = outcome(channel, body)
    tookMs = performance.now() - startMs
  }
  if (tookMs > SLOW_MS) throw new Error(`took ${tookMs.toFixed(0)} ms`)
  return { result, tookMs }
}

/**
 * Normalises `count` broken bodies. Each must give events that fit the dictionary and can be stored, or AppError `invalid_request` with a param, within 50 ms.
 * Throws with channel, seed and number of the body otherwise; the same arguments break the same bodies.
 */
export function fuzzBodies(channel: Channel, seed: number, count: number): FuzzReport {
  const report: FuzzReport = { bodies: 0, events: 0, refused: 0, slowestMs: 0 }
  for (const text of brokenBodies(channel.id, seed, count)) {
    try {
      const { result, tookMs } = timed(channel, parsed(text))
      if (result === 'refused') report.refused += 1
      else {
        checkEvents(result)
        report.events += result.length
      }
      report.bodies += 1
      report.slowestMs = Math.max(report.slowestMs, tookMs)
    } catch (cause) {
      throw new Error(`fuzzBodies(${channel.id}, ${seed}): body ${report.bodies}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
  }
  return report
}
