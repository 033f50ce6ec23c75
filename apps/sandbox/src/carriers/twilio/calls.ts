import { z } from 'zod'
import { ControlError } from '../../control/input.ts'
import type { CallOptions, CarrierWorld } from '../world.ts'

import { ring } from '../legs.ts'
import { TwilioLine } from './line.ts'

/** Calls begin: somebody dials a number of ours, or we place one. */

const Lifecycle = new Set(['initiated', 'ringing', 'answered', 'completed'])

/** A person calls one of our numbers: `voice_url` is asked what to do with it. */
export function receive(world: CarrierWorld, from: string, to: string, options: CallOptions): TwilioLine {
  const number = world.twilio.number(to)
  if (!number || number.voiceUrl === '') throw new ControlError(404, `No number ${to} with a voice_url: register it, or buy it through the API`, 'to')
  const line = new TwilioLine(world, { accountSid: number.accountSid, from, to, direction: 'inbound', person: from, statusUrl: number.statusUrl, statusEvents: new Set(['completed']), options })
  void line.script.from(number.voiceUrl)
  return line
}

export const PlaceFields = z.object({
  To: z.string(),
  From: z.string(),
  Url: z.string().optional(),
  Twiml: z.string().optional(),
  Timeout: z.coerce.number().int().min(1).max(600).default(60),
  TimeLimit: z.coerce.number().int().min(1).max(86_400).optional(),
  StatusCallback: z.string().default(''),
  StatusCallbackEvent: z.union([z.string(), z.array(z.string())]).default('completed'),
  MachineDetection: z.enum(['Enable', 'DetectMessageEnd']).optional(),
  AsyncAmd: z.string().default('false'),
  AsyncAmdStatusCallback: z.string().default(''),
  SendDigits: z.string().optional(),
})
export type PlaceFields = z.output<typeof PlaceFields>

/** Rings; the document is asked for (or at hand) once the phone is answered. */
export function place(world: CarrierWorld, accountSid: string, fields: PlaceFields): TwilioLine {
  const events = new Set([fields.StatusCallbackEvent].flat().flatMap((names) => names.split(' ')).filter((name) => Lifecycle.has(name)))
  const line = new TwilioLine(world, { accountSid, from: fields.From, to: fields.To, direction: 'outbound-api', person: fields.To, statusUrl: fields.StatusCallback, statusEvents: events })
  const { call } = line
  call.once('answered', () => void answered(world, line, fields))
  // Twilio answers the request first, and then begins.
  world.wheel.after(5, () => {
    if (call.state === 'ended') return
    line.tell('initiated')
    line.tell('ringing')
    ring(world, call, fields.Timeout * 1_000)
  })
  return line
}

async function answered(world: CarrierWorld, line: TwilioLine, fields: PlaceFields): Promise<void> {
  const { call } = line
  line.tell('in-progress')
  if (fields.TimeLimit !== undefined) world.wheel.after(fields.TimeLimit * 1_000, () => call.end('time_limit', 'network'))
  if (fields.SendDigits !== undefined) for (const digit of fields.SendDigits) call.note('person.hears_key', digit)
  const detecting = fields.MachineDetection === undefined ? Promise.resolve() : detect(world, line, fields)
  if (fields.AsyncAmd !== 'true') await detecting
  if (call.state !== 'answered') return
  if (fields.Twiml !== undefined) await line.script.with(fields.Twiml)
  else await line.script.from(fields.Url ?? '')
}

const DETECTION_MS = 100
const GREETING_END_MS = 200

/** Who is at the phone: known after a moment; the end of a machine's greeting when it has been spoken. */
async function detect(world: CarrierWorld, line: TwilioLine, fields: PlaceFields): Promise<void> {
  const { call } = line
  const { machine, fax } = call.facts.person
  const startedMs = performance.now()
  const waits = machine && fields.MachineDetection === 'DetectMessageEnd'
  if (waits) await new Promise<void>((resolve) => call.once('silent', resolve))
  await world.wheel.wait(waits ? GREETING_END_MS : DETECTION_MS)
  if (call.state !== 'answered') return
  line.answeredBy = fax ? 'fax' : machine ? (waits ? 'machine_end_beep' : 'machine_start') : 'human'
  if (fields.AsyncAmd !== 'true' || fields.AsyncAmdStatusCallback === '') return
  await line.post('amd', fields.AsyncAmdStatusCallback, { AccountSid: line.facts.accountSid, CallSid: call.id, AnsweredBy: line.answeredBy, MachineDetectionDuration: String(Math.round(performance.now() - startedMs)) })
}

