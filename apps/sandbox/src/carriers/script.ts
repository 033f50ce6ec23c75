import { request } from 'undici'
import { readWav } from '../speech/sound.ts'
import { speak } from '../speech/voice.ts'
import type { Call, EndReason } from './call.ts'
import { encode, frameBytes, resample } from './format.ts'
import { readVerbs, VerbError, type Verb } from './verbs.ts'
import type { Wheel } from './wheel.ts'

/** Carries out a document of verbs on a call, one after the other; a new document takes the place of the old one at any moment. */

export type Fields = Record<string, string>

/** What a carrier has to do with it. */
export type Stagehands = {
  /** Asks the business for a document; null when there is none to be had. */
  fetch(url: string, fields: Fields): Promise<string | null>
  /** Resolves when the stream is over. `connect`: blocks and is heard; otherwise a fork. */
  stream(verb: Verb, connect: boolean, abort: AbortSignal): Promise<void>
  /** Calls somebody and bridges; resolves with what the `action` is told. */
  dial(verb: Verb, abort: AbortSignal): Promise<Fields>
  /** Everybody of one name hears everybody (two, here); resolves when this one is out of it. */
  conference(name: string, abort: AbortSignal): Promise<void>
  /** Something in the document is wrong: told to the business's debugger, here to the journal. */
  warn(code: string, message: string): void
}

type Next = 'next' | 'stop' | { url: string; fields: Fields }

export class Script {
  readonly #call: Call
  readonly #wheel: Wheel
  readonly #hands: Stagehands
  #abort = new AbortController()

  constructor(call: Call, wheel: Wheel, hands: Stagehands) {
    this.#call = call
    this.#wheel = wheel
    this.#hands = hands
    call.once('ended', () => this.#abort.abort())
  }

  /** Fetches and runs. */
  async from(url: string, fields: Fields = {}): Promise<void> {
    const abort = this.#restart()
    const document = await this.#hands.fetch(url, fields)
    if (abort.aborted) return
    if (document === null) return this.#fail('11200', 'HTTP retrieval failure')
    await this.#run(document, abort)
  }

  /** Runs a document that is already here. */
  async with(document: string): Promise<void> {
    await this.#run(document, this.#restart())
  }

  #restart(): AbortSignal {
    this.#abort.abort()
    this.#abort = new AbortController()
    this.#call.prompt.clear()
    return this.#abort.signal
  }

  /** "We are sorry, an application error has occurred. Goodbye." */
  #fail(code: string, message: string): void {
    this.#hands.warn(code, message)
    this.#call.end('failed', 'network')
  }

  async #run(document: string, abort: AbortSignal): Promise<void> {
    try {
      const next = await this.#all(readVerbs(document), abort)
      if (abort.aborted) return
      if (typeof next === 'object') await this.from(next.url, next.fields)
      // The end of the document is the end of the call.
      else if (next === 'next') this.#call.end('completed', 'business')
    } catch (error) {
      if (!(error instanceof VerbError)) throw error
      if (!abort.aborted) this.#fail(error.code, error.message)
    }
  }

  async #all(verbs: Verb[], abort: AbortSignal): Promise<Next> {
    for (const verb of verbs) {
      // Anything but a refusal answers the phone first.
      if (verb.name !== 'Reject' && verb.name !== 'Redirect') this.#call.answer()
      const next = await this.#one(verb, abort)
      if (abort.aborted) return 'stop'
      if (next !== 'next') return next
    }
    return 'next'
  }

  async #one(verb: Verb, abort: AbortSignal): Promise<Next> {
    switch (verb.name) {
      case 'Say':
        return this.#say(verb, abort)
      case 'Play':
        return this.#play(verb, abort)
      case 'Pause':
        await this.#sleep(whole(verb.attributes.length, 1) * 1_000, abort)
        return 'next'
      case 'Redirect':
        return { url: verb.text, fields: {} }
      case 'Reject':
        return this.#end(verb.attributes.reason === 'busy' ? 'busy' : 'rejected')
      case 'Hangup':
        return this.#end('completed')
      case 'Connect':
      case 'Start':
        return this.#stream(verb, abort)
      case 'Dial':
        return this.#dial(verb, abort)
      default:
        throw new VerbError('12200', `Schema validation warning: <${verb.name.slice(0, 32)}> is not played by the sandbox`)
    }
  }

  #end(reason: EndReason): Next {
    this.#call.end(reason, 'business')
    return 'stop'
  }

  async #stream(verb: Verb, abort: AbortSignal): Promise<Next> {
    const stream = verb.children.find(({ name }) => name === 'Stream')
    if (!stream) throw new VerbError('12200', `Schema validation warning: <${verb.name}> without <Stream>`)
    const over = this.#hands.stream(stream, verb.name === 'Connect', abort)
    if (verb.name === 'Start') return 'next'
    await over
    const { action } = verb.attributes
    return action === undefined || abort.aborted ? 'next' : { url: action, fields: {} }
  }

  async #say({ text, attributes }: Verb, abort: AbortSignal): Promise<Next> {
    this.#call.note('say', text)
    const { format } = this.#call.facts
    for (let turn = 0; turn < whole(attributes.loop, 1); turn++) await this.#prompt(encode(speak(text, { sampleRateHz: format.sampleRateHz }).pcm, format), abort)
    return 'next'
  }

  async #play({ text, attributes }: Verb, abort: AbortSignal): Promise<Next> {
    if (attributes.digits !== undefined) return this.#pressed(attributes.digits, abort)
    this.#call.note('play', text)
    const bytes = await this.#download(text)
    for (let turn = 0; turn < whole(attributes.loop, 1); turn++) await this.#prompt(bytes, abort)
    return 'next'
  }

  /** The tones themselves are not played; the person notes the keys, in the time that they take. */
  async #pressed(digits: string, abort: AbortSignal): Promise<Next> {
    for (const digit of digits) {
      if (digit === 'w') await this.#sleep(500, abort)
      else {
        this.#call.note('person.hears_key', digit)
        await this.#sleep(100, abort)
      }
    }
    return 'next'
  }

  async #download(url: string): Promise<Buffer> {
    try {
      const answer = await request(url, { headersTimeout: 10_000, bodyTimeout: 10_000 })
      const sound = answer.statusCode === 200 ? readWav(Buffer.from(await answer.body.arrayBuffer())) : null
      if (!sound) throw new Error('no WAV file')
      const { format } = this.#call.facts
      return encode(resample(sound.pcm, sound.sampleRateHz, format.sampleRateHz), format)
    } catch {
      this.#hands.warn('13520', 'Play: the file cannot be fetched or is no WAV file')
      return Buffer.alloc(0)
    }
  }

  async #prompt(bytes: Buffer, abort: AbortSignal): Promise<void> {
    this.#call.prompt.push(bytes)
    await this.#sleep((bytes.length / frameBytes(this.#call.facts.format)) * 20, abort)
  }

  async #dial(verb: Verb, abort: AbortSignal): Promise<Next> {
    const conference = verb.children.find(({ name }) => name === 'Conference')
    if (conference) {
      await this.#hands.conference(conference.text, abort)
      return 'next'
    }
    const fields = await this.#hands.dial(verb, abort)
    const { action } = verb.attributes
    if (action === undefined) return 'next'
    if (!abort.aborted) return { url: action, fields }
    // Whoever dialed has hung up: the outcome is told all the same, and nobody carries out what is answered.
    if (this.#call.state === 'ended') void this.#hands.fetch(action, fields)
    return 'stop'
  }

  #sleep(ms: number, abort: AbortSignal): Promise<void> {
    if (abort.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = this.#wheel.after(ms, () => done())
      const done = () => {
        cancel()
        abort.removeEventListener('abort', done)
        resolve()
      }
      abort.addEventListener('abort', done)
    })
  }
}

const whole = (text: string | undefined, fallback: number): number => {
  const value = Number(text)
  return text !== undefined && Number.isInteger(value) && value >= 0 && value <= 1_000 ? value : fallback
}
