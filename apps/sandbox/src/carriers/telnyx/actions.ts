import { request } from 'undici'
import { z } from 'zod'
import { readWav } from '../../speech/sound.ts'
import { speak } from '../../speech/voice.ts'
import { encode, frameBytes, resample } from '../format.ts'
import { ring } from '../legs.ts'
import type { CarrierWorld } from '../world.ts'
import { Common, StreamFields, wishOf } from './calls.ts'
import { legOf, TelnyxLeg } from './line.ts'

/** The commands of Call Control that the sandbox plays. */

export type ActionRefusal = { status: number; code: string; title: string; detail: string }
export type Action = { /** Needs an answered call. */ live: boolean; run(world: CarrierWorld, leg: TelnyxLeg, body: unknown): ActionRefusal | null }

export const unprocessable = (code: string, title: string, detail: string): ActionRefusal => ({ status: 422, code, title, detail })
const invalid = (detail: string): ActionRefusal => unprocessable('10015', 'Invalid value', detail)

/** `run` gets a body of this shape. */
function action<Shape extends z.ZodRawShape>(live: boolean, shape: Shape, run: (world: CarrierWorld, leg: TelnyxLeg, body: z.output<z.ZodObject<Shape>>) => ActionRefusal | null | void): Action {
  const schema = z.object(shape)
  return {
    live,
    run(world, leg, input) {
      const parsed = schema.safeParse(input ?? {})
      if (!parsed.success) return invalid(`${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}`)
      return run(world, leg, parsed.data) ?? null
    },
  }
}

function startStream(leg: TelnyxLeg, fields: z.output<typeof StreamFields>): ActionRefusal | null {
  const wish = wishOf(fields)
  if (!wish) return null
  const wrong = leg.refusalOf(wish)
  if (wrong !== null) return invalid(wrong)
  leg.stream(wish)
  return null
}

function answer(leg: TelnyxLeg, fields: z.output<typeof StreamFields>): ActionRefusal | null {
  const wish = wishOf(fields)
  const wrong = wish && leg.refusalOf(wish)
  if (leg.facts.direction === 'outgoing' || leg.call.state !== 'ringing') return invalid('The call is not ringing for you.')
  if (wrong) return invalid(wrong)
  leg.call.answer()
  return startStream(leg, fields)
}

/** Whatever the text is written in, its words are spoken by the sandbox's voice; a break is silence. */
function speech(leg: TelnyxLeg, payload: string): Buffer {
  const breaks = [...payload.matchAll(/<break time="(\d+)s"\/>/g)].reduce((sum, match) => sum + Number(match[1]), 0)
  const words = payload.replaceAll(/<[^>]*>/g, ' ').trim()
  const { format } = leg.call.facts
  const silence = Buffer.alloc(frameBytes(format) * 50 * breaks, encode(new Int16Array(1), format)[0])
  return words === '' ? silence : Buffer.concat([encode(speak(words, { sampleRateHz: format.sampleRateHz }).pcm, format), silence])
}

/** Plays, and tells when it is over; the state is that of the moment. */
function play(world: CarrierWorld, leg: TelnyxLeg, name: 'speak' | 'playback', bytes: Buffer, extra: Record<string, unknown> = {}): void {
  const { call } = leg
  leg.tell(`call.${name}.started`, extra)
  call.prompt.push(bytes)
  const cancel = world.wheel.after((bytes.length / frameBytes(call.facts.format)) * 20, () => done('completed'))
  const done = (status: string) => {
    cancel()
    call.off('ended', hungUp)
    leg.tell(`call.${name}.ended`, { ...extra, status })
  }
  const hungUp = () => done('call_hangup')
  call.once('ended', hungUp)
}

async function playFile(world: CarrierWorld, leg: TelnyxLeg, url: string, loop: number): Promise<void> {
  const { format } = leg.call.facts
  const extra = { media_url: url, media_name: null, overlay: false }
  try {
    const file = await request(url, { headersTimeout: 10_000, bodyTimeout: 10_000 })
    const sound = file.statusCode === 200 ? readWav(Buffer.from(await file.body.arrayBuffer())) : null
    if (!sound) throw new Error('no WAV file')
    const bytes = encode(resample(sound.pcm, sound.sampleRateHz, format.sampleRateHz), format)
    if (leg.call.state === 'answered') play(world, leg, 'playback', Buffer.concat(Array.from({ length: loop }, () => bytes)), extra)
  } catch {
    leg.tell('call.playback.ended', { ...extra, status: 'file_not_found' })
  }
}

function transfer(world: CarrierWorld, leg: TelnyxLeg, fields: { to: string; from?: string; timeout_secs: number; target_leg_client_state?: string }): void {
  const from = fields.from ?? leg.facts.number
  const target = new TelnyxLeg(world, { connectionId: leg.facts.connectionId, webhookUrl: leg.facts.webhookUrl, from, to: fields.to, direction: 'outgoing', number: leg.facts.number, person: fields.to, sessionId: leg.sessionId, clientState: fields.target_leg_client_state ?? null, options: leg.live.options })
  leg.call.note('dialed', fields.to)
  target.tell('call.initiated', { direction: 'outgoing', state: 'bridging', start_time: target.call.createdAt.toISOString() })
  target.call.once('answered', () => join(leg, target))
  const cancel = () => target.call.end('canceled', 'business')
  leg.call.once('ended', cancel)
  target.call.once('ended', () => leg.call.off('ended', cancel))
  ring(world, target.call, fields.timeout_secs * 1_000)
}

function join(one: TelnyxLeg, two: TelnyxLeg): void {
  one.call.bridge(two.call)
  for (const leg of [one, two]) leg.tell('call.bridged')
}

function bridge(world: CarrierWorld, leg: TelnyxLeg, otherId: string): ActionRefusal | null {
  const live = world.calls.get(otherId)
  const other = live && legOf(live.call)
  if (!other) return unprocessable('90015', 'Invalid Call Control ID', 'The call to bridge with does not exist.')
  if (other.call.state !== 'answered') return unprocessable('90034', 'Call not answered yet', 'The call to bridge with is not answered.')
  join(leg, other)
  return null
}

const digits = z.string().regex(/^[0-9A-D*#wW]+$/).max(64)
const address = z.string().regex(/^(\+[1-9]\d{4,17}|sips?:\S+)$/)

export const ACTIONS: Readonly<Record<string, Action>> = {
  answer: action(false, StreamFields.shape, (_world, leg, body) => answer(leg, body)),
  reject: action(false, { cause: z.enum(['CALL_REJECTED', 'USER_BUSY']) }, (_world, leg, { cause }) => {
    if (leg.call.state !== 'ringing') return invalid('The call is answered.')
    leg.call.end(cause === 'USER_BUSY' ? 'busy' : 'rejected', 'business')
  }),
  hangup: action(false, {}, (_world, leg) => leg.call.end(leg.call.state === 'ringing' ? 'canceled' : 'completed', 'business')),
  speak: action(true, { payload: z.string().min(1).max(3_000), voice: z.string().min(1) }, (world, leg, { payload }) => {
    leg.call.note('say', payload)
    play(world, leg, 'speak', speech(leg, payload))
  }),
  playback_start: action(true, { audio_url: z.url(), loop: z.union([z.number().int().min(1).max(100), z.literal('infinity')]).default(1) }, (world, leg, body) => void playFile(world, leg, body.audio_url, body.loop === 'infinity' ? 100 : body.loop)),
  playback_stop: action(true, {}, (_world, leg) => void leg.call.prompt.clear()),
  send_dtmf: action(true, { digits }, (_world, leg, body) => {
    for (const digit of body.digits.replaceAll(/w/gi, '')) leg.call.note('person.hears_key', digit)
  }),
  transfer: action(true, { to: address, from: z.string().optional(), timeout_secs: z.number().int().min(5).max(600).default(30), target_leg_client_state: Common.shape.client_state }, (world, leg, body) => transfer(world, leg, body)),
  bridge: action(true, { call_control_id: z.string() }, (world, leg, body) => bridge(world, leg, body.call_control_id)),
  streaming_start: action(true, { ...StreamFields.shape, stream_url: z.string() }, (_world, leg, body) => (leg.live.socket ? unprocessable('90061', 'Streaming already started', 'Only one bidirectional stream can run on a call.') : startStream(leg, body))),
  streaming_stop: action(true, {}, (_world, leg) => {
    if (!leg.live.socket) return unprocessable('90060', 'Streaming not started', 'There is no stream on this call.')
    leg.live.socket.close()
  }),
}
