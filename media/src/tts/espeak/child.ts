/** The process around espeak-ng (GPL-3.0, an optional package). It reads requests from standard input and ends with it. */
import { KIND, FrameReader, encodeFrame, type EspeakVoice, type FailedReply, type Frame, type Kind, type ReadyReply, type SayRequest, type SpeechMark } from './protocol.ts'

/** What we use of `eSpeakNGWorker`; the package has no types. The callback may answer true to stop. */
type EspeakEvent = { type: string; text_position: number; word_length: number; audio_position: number; id?: string | number }
type Espeak = {
  set_voice(name: string): number
  set_rate(rate: number): void
  set_pitch(pitch: number): void
  set_range(range: number): void
  get_samplerate(): number
  list_voices(): EspeakVoice[]
  synthesize(text: string, heard: (audio: Int16Array | null, events: EspeakEvent[]) => boolean): void
}
type EspeakModule = { eSpeakNGWorker: new () => Espeak }

const waiting: Frame[] = []
const cancelled = new Set<number>()
let voice = ''
let espeak: Espeak | null = null
let busy = false

/** Pipes are written synchronously on POSIX, so that sound leaves while espeak still works on the rest. */
const tell = (kind: Kind, job: number, payload?: Uint8Array | string): boolean => process.stdout.write(encodeFrame(kind, job, payload))
const tellFailure = (job: number, failure: FailedReply): boolean => tell(KIND.failed, job, JSON.stringify(failure))

async function load(): Promise<Espeak> {
  const name: string = '@echogarden/espeak-ng-emscripten'
  const { default: start } = (await import(name)) as { default: () => Promise<EspeakModule> }
  return new (await start()).eSpeakNGWorker()
}

function say(espeak: Espeak, job: number, { text, voice: wanted, rate, pitch, range, sound }: SayRequest): void {
  if (wanted !== voice && !setVoice(espeak, wanted)) return void tellFailure(job, { code: 'unsupported', message: `espeak has no voice ${JSON.stringify(wanted.slice(0, 64))}` })
  espeak.set_rate(rate)
  espeak.set_pitch(pitch)
  espeak.set_range(range)
  espeak.synthesize(text, (audio, events) => {
    const marks = events.flatMap(markOf)
    if (marks.length > 0) tell(KIND.events, job, JSON.stringify(marks))
    if (sound && audio && audio.length > 0) tell(KIND.audio, job, new Uint8Array(audio.buffer, audio.byteOffset, audio.byteLength))
    return false
  })
  tell(KIND.done, job)
}

function setVoice(espeak: Espeak, wanted: string): boolean {
  // 0 is EE_OK (speak_lib.h). A region that it does not know (de-AT) is spoken in the language (de).
  const [name = '', variant] = wanted.split('+')
  const names = name.split('-').map((_, index, parts) => parts.slice(0, parts.length - index).join('-'))
  const found = names.some((one) => espeak.set_voice(variant ? `${one}+${variant}` : one) === 0)
  // After a refusal the state of the library is not told, so the next request sets its voice anew.
  voice = found ? wanted : ''
  return found
}

/** Positions of espeak count from 1. */
function markOf({ type, text_position: at, word_length: length, audio_position: atMs, id }: EspeakEvent): SpeechMark[] {
  if (type === 'word') return [['w', atMs, at - 1, length]]
  if (type === 'phoneme') return [['p', atMs, String(id ?? '')]]
  return type === 'end' ? [['e', atMs, at - 1]] : []
}

function serve(frame: Frame): void {
  if (!espeak || cancelled.delete(frame.job)) return
  if (frame.kind === KIND.say) say(espeak, frame.job, JSON.parse(frame.payload.toString('utf8')) as SayRequest)
  if (frame.kind === KIND.voices) tell(KIND.done, frame.job, JSON.stringify(espeak.list_voices()))
}

/** One job per turn of the event loop: a cancellation that lies in the pipe is seen before the next job begins. */
function next(): void {
  const frame = waiting.shift()
  busy = frame !== undefined
  if (!frame) return cancelled.clear()
  serve(frame)
  setImmediate(next)
}

const reader = new FrameReader()
process.stdin.on('data', (chunk: Buffer) => {
  for (const frame of reader.push(chunk)) {
    if (frame.kind === KIND.cancel) cancelled.add(frame.job)
    else waiting.push(frame)
  }
  if (!busy && espeak) next()
})
process.stdin.on('end', () => process.exit(0))

try {
  espeak = await load()
  tell(KIND.ready, 0, JSON.stringify({ sampleRateHz: espeak.get_samplerate() } satisfies ReadyReply))
  next()
} catch (error) {
  const missing = (error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND'
  const message = missing ? 'The embedded voice needs the optional package @echogarden/espeak-ng-emscripten (GPL-3.0): npm install --include=optional' : 'espeak-ng could not be loaded'
  tellFailure(0, { code: missing ? 'model_missing' : 'unavailable', message })
  process.exit(1)
}
