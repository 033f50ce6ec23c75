import { z } from 'zod'
import { ControlError } from '../../control/input.ts'
import { ring } from '../legs.ts'
import type { CallOptions, CarrierWorld } from '../world.ts'
import { TelnyxLeg } from './line.ts'
import type { StreamWish } from './stream.ts'
import { receiveTexml } from './texml.ts'
import type { Call } from '../call.ts'

/** Calls begin: somebody dials a number of ours, or we place one. */

/** A person calls one of our numbers: its application hears of it. */
export function receive(world: CarrierWorld, from: string, to: string, options: CallOptions): Call {
  const number = world.telnyx.number(to)
  const application = number && world.telnyx.application(number.connectionId)
  if (!application || application.url === '') throw new ControlError(404, `No number ${to} whose application has a webhook: register it, or buy it through the API`, 'to')
  if (application.texml) {
    if (application.voiceMethod !== 'post') throw new ControlError(409, 'This TeXML application asks by GET, which the sandbox does not play: set voice_method to post', 'to')
    return receiveTexml(world, application, from, to, options)
  }
  const leg = new TelnyxLeg(world, { connectionId: application.id, webhookUrl: application.url, from, to, direction: 'incoming', number: to, person: from, options })
  leg.tell('call.initiated', { direction: 'incoming', state: 'parked', caller_id_name: from, offered_codecs: 'PCMU,PCMA', start_time: leg.call.createdAt.toISOString(), tags: [] })
  return leg.call
}

const base64 = z.string().max(64 * 1024).regex(/^[A-Za-z0-9+/]*={0,2}$/)

/** Fields that start a stream; of `dial`, `answer` and `streaming_start`. */
export const StreamFields = z.object({
  stream_url: z.string().max(4_096).optional(),
  stream_codec: z.string().default('default'),
  // Telnyx's default is of no use in a conversation, and easy to forget.
  stream_bidirectional_mode: z.string().default('mp3'),
  stream_bidirectional_codec: z.string().default('PCMU'),
  stream_bidirectional_sampling_rate: z.number().default(8_000),
  stream_auth_token: z.string().max(4_000).optional(),
  custom_parameters: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
})

export function wishOf(fields: z.output<typeof StreamFields>): StreamWish | null {
  if (fields.stream_url === undefined) return null
  return {
    url: fields.stream_url, codec: fields.stream_codec, mode: fields.stream_bidirectional_mode, bidirectionalCodec: fields.stream_bidirectional_codec,
    bidirectionalRate: fields.stream_bidirectional_sampling_rate, authToken: fields.stream_auth_token ?? null, parameters: fields.custom_parameters,
  }
}

export const Common = z.object({ client_state: base64.optional(), command_id: z.string().max(255).optional() })

const Detection = z.enum(['premium', 'detect', 'detect_beep', 'detect_words', 'greeting_end', 'disabled']).default('disabled')

export const Dial = z.object({
  ...Common.shape,
  ...StreamFields.shape,
  to: z.string().regex(/^(\+[1-9]\d{4,17}|sips?:\S+)$/),
  from: z.string(),
  connection_id: z.string(),
  webhook_url: z.string().optional(),
  timeout_secs: z.number().int().min(5).max(600).default(30),
  time_limit_secs: z.number().int().min(1).max(14_400).optional(),
  answering_machine_detection: Detection,
  send_digits_on_answer: z.string().optional(),
})
export type Dial = z.output<typeof Dial>

/** Rings; the stream begins with the answer. */
export function place(world: CarrierWorld, fields: Dial): TelnyxLeg {
  const webhookUrl = fields.webhook_url ?? world.telnyx.application(fields.connection_id)?.url ?? ''
  const leg = new TelnyxLeg(world, { connectionId: fields.connection_id, webhookUrl, from: fields.from, to: fields.to, direction: 'outgoing', number: fields.from, person: fields.to, clientState: fields.client_state ?? null })
  leg.call.once('answered', () => answered(world, leg, fields))
  // Telnyx answers the request first, and then begins.
  world.wheel.after(5, () => {
    if (leg.call.state === 'ended') return
    leg.tell('call.initiated', { direction: 'outgoing', state: 'bridging', start_time: leg.call.createdAt.toISOString() })
    ring(world, leg.call, fields.timeout_secs * 1_000)
  })
  return leg
}

function answered(world: CarrierWorld, leg: TelnyxLeg, fields: Dial): void {
  const wish = wishOf(fields)
  if (wish) leg.stream(wish)
  if (fields.time_limit_secs !== undefined) world.wheel.after(fields.time_limit_secs * 1_000, () => leg.call.end('time_limit', 'network'))
  for (const digit of fields.send_digits_on_answer ?? '') leg.call.note('person.hears_key', digit)
  if (fields.answering_machine_detection !== 'disabled') void detect(world, leg, fields.answering_machine_detection)
}

const DETECTION_MS = 100

async function detect(world: CarrierWorld, leg: TelnyxLeg, mode: string): Promise<void> {
  const { machine, fax } = leg.call.facts.person
  const silent = new Promise<void>((resolve) => leg.call.once('silent', resolve))
  await world.wheel.wait(DETECTION_MS)
  if (leg.call.state !== 'answered') return
  if (mode === 'premium') leg.tell('call.machine.premium.detection.ended', { result: fax ? 'fax_detected' : machine ? 'machine' : 'human_residence' })
  else leg.tell('call.machine.detection.ended', { result: machine ? 'machine' : fax ? 'not_sure' : 'human' })
  if (!machine || mode === 'detect') return
  await silent
  if (leg.call.state === 'answered') leg.tell(mode === 'premium' ? 'call.machine.premium.greeting.ended' : 'call.machine.greeting.ended', { result: 'beep_detected' })
}
