import { element, type XmlNode } from './xml.ts'
import type { CallInstruction } from './instructions.ts'

/** Instructions as verbs. Twilio invented them, Telnyx's TeXML reads the same ones; only `<Stream>` has attributes of its own. */

export type Dialect = {
  stream: XmlNode['attributes']
  /** `<Dial answerOnBridge>`: the caller hears ringing, and is not charged, until the other side answers. */
  dial: XmlNode['attributes']
}

type Step<Kind extends CallInstruction['do']> = Extract<CallInstruction, { do: Kind }>

function streamVerb(step: Step<'stream'>, dialect: Dialect): XmlNode {
  const status = step.statusUrl === undefined ? {} : { statusCallback: step.statusUrl, statusCallbackMethod: 'POST' }
  const parameters = Object.entries(step.parameters ?? {}).map(([name, value]) => element('Parameter', { name, value }))
  return element('Connect', {}, element('Stream', { url: step.url, ...dialect.stream, ...status }, ...parameters))
}

/** `action` is asked what comes next when the other leg is over; that it rings, and that somebody takes it, is told by the leg itself. */
function dialVerb(step: Step<'dial'>, dialect: Dialect): XmlNode {
  const { resultUrl: url } = step
  const [result, progress] = url === undefined ? [{}, {}] : [{ action: url, method: 'POST' }, { statusCallback: url, statusCallbackMethod: 'POST', statusCallbackEvent: 'initiated answered' }]
  const noun = step.to.startsWith('+') ? 'Number' : 'Sip'
  return element('Dial', { callerId: step.from, timeout: step.timeoutSeconds, timeLimit: step.timeLimitSeconds, ...dialect.dial, ...result }, element(noun, progress, step.to))
}

/** A conference that begins with whoever comes first, without music and beeps: two legs are connected, not kept waiting. */
function conferenceVerb({ name, endsWithMe }: Step<'conference'>): XmlNode {
  return element('Dial', {}, element('Conference', { beep: false, startConferenceOnEnter: true, endConferenceOnExit: endsWithMe, waitUrl: '' }, name))
}

/** A digit string waits with `w` alone: `W` is two of them. */
const pauses = (digits: string): string => digits.replaceAll('W', 'ww')

function verb(step: CallInstruction, dialect: Dialect): XmlNode {
  switch (step.do) {
    case 'stream':
      return streamVerb(step, dialect)
    case 'dial':
      return dialVerb(step, dialect)
    case 'conference':
      return conferenceVerb(step)
    case 'say':
      return element('Say', { language: step.language, voice: step.voice }, step.text)
    case 'play':
      return element('Play', { loop: step.times }, step.url)
    case 'press':
      return element('Play', { digits: pauses(step.digits) })
    case 'pause':
      return element('Pause', { length: step.seconds })
    case 'redirect':
      return element('Redirect', { method: 'POST' }, step.url)
    case 'reject':
      return element('Reject', { reason: step.reason })
    case 'hang_up':
      return element('Hangup')
  }
}

/** The root of a document that does all of `steps` in order. */
export function response(steps: readonly CallInstruction[], dialect: Dialect): XmlNode {
  return element('Response', {}, ...steps.map((step) => verb(step, dialect)))
}
