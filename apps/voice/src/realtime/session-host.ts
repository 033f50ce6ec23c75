import { realtime } from '@trunkline/channels'
import type { Breakers, Link } from '@trunkline/agents'
import type { Clock, Logger } from '@trunkline/core'
import { createDecoder, createEncoder, type Pcm, type SampleRateHz, type SpeechUsage, type SttEngine, type TtsEngine, type Vad } from '@trunkline/media'
import type { Allowance } from './allowance.ts'
import { InputSound, plainFormat } from './input-sound.ts'
import { LegInput } from './leg-input.ts'
import { Asides } from './asides.ts'
import type { Outlet } from './outlet.ts'
import { Playout, type PlayoutOptions } from './playout.ts'
import type { Purse } from './purse.ts'
import { NO_CREDIT, ResponseRun } from './response.ts'

export type SessionDeps = {
  vad: Vad
  /** Null: nobody here can write down what is said. */
  stt: SttEngine | null
  /** The voice of one response; hears of each engine's part in it. */
  tts: (onUsage: (usage: SpeechUsage) => void) => TtsEngine
  links: readonly Link[]
  breakers: Breakers
  allowance: Allowance
  clock: Clock
  log: Logger
  purse: Purse
  /** A call: we play what is said, and know what was heard of it. Null: the client does. */
  playout: PlayoutOptions | null
  /** What another process would need to know is not what it was. */
  changed: (state: realtime.SessionState) => void
}

type ItemSound = { pcm: Pcm; rateHz: SampleRateHz }

/** Unsent events of a client that does not read; above it the session is over. */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024
/** Sound of items, for transcription and `retrieve`; the oldest go first. */
const ITEMS_SOUND_MS_MAX = 60_000
const TRANSCRIBE_TIMEOUT_MS = 20_000

/**
 * One Realtime session: what the pure machine of `channels/realtime` asks for is done here, with real engines. The machine's state is
 * the only memory of the conversation; this object keeps sound, timers and what is running.
 */
export class SessionHost {
  readonly #outlet: Outlet
  readonly #asides = new Asides(BUFFERED_BYTES_MAX)
  readonly #codec: realtime.RealtimeCodec
  readonly #deps: SessionDeps
  readonly #sound: InputSound
  readonly #runs = new Map<string, ResponseRun>()
  readonly #items = new Map<string, ItemSound>()
  readonly #transcripts = new Map<string, Promise<void>>()
  readonly #stop = new AbortController()
  readonly #playout: Playout | null
  readonly #ear = new LegInput()
  /** Responses by the items that they say, until the last of each was heard. */
  readonly #said = new Map<string, string>()
  #state: realtime.SessionState
  #itemsMs = 0
  #cancelIdle: (() => void) | null = null
  /** Responses and transcriptions under way; each is done when it is paid for. */
  readonly #work = new Set<Promise<void>>()
  #closing: Promise<void> | null = null
  #closed = false

  constructor(outlet: Outlet, codec: realtime.RealtimeCodec, first: realtime.Step, deps: SessionDeps) {
    this.#outlet = outlet
    this.#codec = codec
    this.#deps = deps
    this.#state = first.state
    this.#sound = new InputSound(deps.vad, first.state.config.audio.input, {
      speechStarted: (atMs) => {
        this.#noteHeard()
        this.#tell({ type: 'speech_started', atMs })
      },
      speechStopped: (atMs) => this.#tell({ type: 'speech_stopped', atMs }),
    })
    this.#playout = deps.playout && new Playout(deps.playout, {
      started: (itemId) => this.#tell({ type: 'playout_started', responseId: this.#said.get(itemId) ?? '', itemId, contentIndex: 0 }),
      stopped: (itemId) => this.#stopped(itemId),
    })
    this.#take(first)
  }

  get state(): realtime.SessionState {
    return this.#state
  }

  /** The longest duration of a session is over. */
  expire(): void {
    this.#tell({ type: 'expired' })
  }

  /** Resolves when nothing is being said, and nothing written down. */
  async idle(): Promise<void> {
    while (!this.#closed && this.#work.size > 0) await Promise.race(this.#work)
  }

  /** Frees everything. The outlet's closing is the caller's, or has happened; those of its sideband hear this. Resolves when all of it is paid for. Idempotent. */
  close(code = 1000, reason = 'the session is over'): Promise<void> {
    this.#closing ??= this.#end(code, reason)
    return this.#closing
  }

  async #end(code: number, reason: string): Promise<void> {
    this.#closed = true
    this.#asides.close(code, reason)
    this.#stop.abort()
    this.#cancelIdle?.()
    for (const run of this.#runs.values()) run.cancel()
    this.#sound.close()
    this.#ear.close()
    this.#playout?.close()
    this.#items.clear()
    await Promise.all(this.#work)
    await this.#deps.purse.close()
  }

  /** One message of the client, or of its sideband. Whoever sent it hears what is wrong with it, and nobody else. */
  receive(text: string, from: Outlet = this.#outlet): void {
    if (this.#closed) return
    this.#noteHeard()
    this.#take(realtime.receiveParsed(this.#state, this.#codec.read(text)), from)
  }

  /** Nobody may join any more. */
  get followed(): boolean {
    return this.#asides.full
  }

  /** Somebody who is greeted as the client was, sees what it sees from now on, and may send what it may send. False: there are enough of them. */
  join(outlet: Outlet): boolean {
    if (this.#closed || this.#asides.full) return false
    // Greeted only: nothing begins anew for the session itself.
    const { state, send } = realtime.resumeRealtimeSession(this.#state, { engineLost: false })
    this.#state = state
    for (const event of send) this.#sendTo(outlet, event)
    this.#asides.add(outlet)
    return true
  }

  part(outlet: Outlet): void {
    this.#asides.delete(outlet)
  }

  /** 20 ms of the caller, where sound does not come as events. Lent. */
  hear(pcm: Pcm, rateHz: SampleRateHz): void {
    if (this.#closed) return
    const audio = this.#ear.encode(pcm, rateHz, plainFormat(this.#state.config.audio.input.format))
    this.#take(realtime.step(this.#state, { type: 'client', event: { type: 'input_audio_buffer.append', audio } }))
  }

  /** What may cut us off must find how much was heard until now. */
  #noteHeard(): void {
    const heard = this.#playout?.heard()
    if (heard) this.#tell({ type: 'playout_heard', responseId: this.#said.get(heard.itemId) ?? '', itemId: heard.itemId, contentIndex: 0, ms: heard.ms })
  }

  #stopped(itemId: string): void {
    const responseId = this.#said.get(itemId) ?? ''
    this.#said.delete(itemId)
    this.#tell({ type: 'playout_stopped', responseId })
  }

  #tell(happening: realtime.Happening): void {
    if (!this.#closed) this.#take(realtime.step(this.#state, happening))
  }

  #take({ state, send, effects }: realtime.Step, from: Outlet | null = null): void {
    const before = this.#state
    this.#state = state
    if (isOther(before, state)) this.#deps.changed(state)
    for (const event of send) {
      if (from && from !== this.#outlet && event.type === 'error') this.#sendTo(from, event)
      else this.#send(event, from !== null && event.type === 'error')
    }
    for (const effect of effects) this.#do(effect)
  }

  #sendTo(to: Outlet, event: realtime.ServerEvent): void {
    const text = this.#codec.write(event)
    if (text !== null) to.send(text)
  }

  #send(event: realtime.ServerEvent, alone: boolean): void {
    if (this.#closed) return
    // Who hears it does not read it.
    if (this.#playout && event.type === 'response.output_audio.delta') return
    const text = this.#codec.write(event)
    if (text === null) return
    this.#outlet.send(text)
    if (!alone) this.#asides.send(text)
    if (this.#outlet.waitingBytes <= BUFFERED_BYTES_MAX) return
    this.#deps.log.info({}, 'a realtime client does not read: its session ends')
    this.#outlet.close(1013, 'too slow')
    void this.close()
  }

  #do(effect: realtime.Effect): void {
    switch (effect.type) {
      case 'feed_audio': return this.#sound.feed(effect.audio)
      case 'commit_buffer':
        this.#keep(effect.itemId, this.#sound.between(effect.startMs, effect.endMs), this.#sound.sampleRateHz)
        return this.#sound.release(effect.endMs)
      case 'clear_buffer':
        this.#sound.release(this.#sound.position)
        return this.#sound.forget()
      case 'configure_input': return this.#sound.configure(effect.input)
      case 'transcribe': return this.#transcribe(effect.itemId, effect.contentIndex, effect.settings?.language ?? null)
      case 'start_response': return this.#answer(effect.request)
      case 'cancel_response':
        this.#runs.get(effect.responseId)?.cancel()
        this.#runs.delete(effect.responseId)
        return
      case 'drop_item': return this.#forget(effect.itemId)
      case 'retrieve_audio': return this.#retrieve(effect.requestId, effect.itemId)
      case 'arm_idle': return this.#armIdle(effect.timeoutMs + effect.audioMs)
      case 'disarm_idle':
        this.#cancelIdle?.()
        this.#cancelIdle = null
        return
      case 'close':
        this.#outlet.close(effect.code, effect.reason)
        return void this.close(effect.code, effect.reason)
      case 'store_audio': {
        const decoder = createDecoder(plainFormat(effect.format))
        return this.#keep(effect.itemId, decoder.decode(effect.audio), decoder.format.sampleRateHz)
      }
      case 'cut_playout':
        this.#said.clear()
        return this.#playout?.cut()
      // The client tells what it did not play, or we know; the item has its words.
      case 'truncate_item':
    }
  }

  #keep(itemId: string, pcm: Pcm, rateHz: SampleRateHz): void {
    this.#items.set(itemId, { pcm, rateHz })
    this.#itemsMs += (pcm.length / rateHz) * 1_000
    for (const oldest of this.#items.keys()) {
      if (this.#itemsMs <= ITEMS_SOUND_MS_MAX || oldest === itemId) break
      this.#forget(oldest)
    }
  }

  #forget(itemId: string): void {
    const sound = this.#items.get(itemId)
    if (!sound) return
    this.#items.delete(itemId)
    this.#itemsMs -= (sound.pcm.length / sound.rateHz) * 1_000
  }

  #transcribe(itemId: string, contentIndex: number, language: string | null): void {
    const sound = this.#items.get(itemId)
    const done = this.#write(itemId, contentIndex, sound, language).finally(() => this.#transcripts.delete(itemId))
    this.#transcripts.set(itemId, done)
    this.#during(done)
  }

  async #write(itemId: string, contentIndex: number, sound: ItemSound | undefined, language: string | null): Promise<void> {
    try {
      if (!this.#deps.stt || !sound || sound.pcm.length === 0) throw new Error('nobody to write, or nothing to write down')
      if (!(await this.#deps.purse.listen((sound.pcm.length / sound.rateHz) * 1_000))) return this.#unwritten(itemId, contentIndex, NO_CREDIT)
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(TRANSCRIBE_TIMEOUT_MS)])
      const { text, durationMs, usage } = await this.#deps.stt.transcribe(sound.pcm, { sampleRateHz: sound.rateHz, language, keyterms: [], signal })
      this.#deps.purse.heard(usage)
      this.#tell({ type: 'transcription_completed', itemId, contentIndex, transcript: text, measured: { seconds: durationMs / 1_000 } })
    } catch {
      this.#unwritten(itemId, contentIndex, { type: 'server_error', code: 'transcription_failed', message: 'The audio could not be transcribed.' })
    }
  }

  #unwritten(itemId: string, contentIndex: number, fault: realtime.Fault): void {
    this.#tell({ type: 'transcription_failed', itemId, contentIndex, fault })
  }

  #answer(request: realtime.ResponseRequest): void {
    const { links, breakers, allowance, tts, purse, clock, log } = this.#deps
    const run = new ResponseRun(request, {
      links, breakers, allowance, tts, purse, clock, log,
      play: this.#playout ? (pcm, rateHz) => this.#play(request.responseId, pcm, rateHz) : undefined,
      view: (wanted) => this.#view(wanted),
      tell: (happening) => {
        if (happening.type.startsWith('response_')) this.#runs.delete(request.responseId)
        this.#tell(happening)
      },
    })
    this.#runs.set(request.responseId, run)
    this.#during(run.done)
    if (this.#playout) void run.done.then(() => this.#endPlayout(request.responseId))
  }

  async #play(responseId: string, pcm: Pcm, rateHz: SampleRateHz): Promise<void> {
    const speaking = this.#state.responses.find(({ id }) => id === responseId)?.output.find(({ open, item }) => open && item.type === 'message')
    if (!speaking) return
    this.#said.set(speaking.item.id, responseId)
    await this.#playout!.say(speaking.item.id, pcm, rateHz)
  }

  #endPlayout(responseId: string): void {
    for (const [itemId, of] of this.#said) if (of === responseId) this.#playout!.end(itemId)
  }

  #during(work: Promise<void>): void {
    this.#work.add(work)
    void work.finally(() => this.#work.delete(work))
  }

  /** The model reads words: those that are still being written down are waited for. */
  async #view(request: realtime.ResponseRequest): Promise<readonly realtime.ViewItem[]> {
    await Promise.all(this.#transcripts.values())
    return request.ownContext ? request.context : realtime.conversationView(this.#state)
  }

  #retrieve(requestId: string, itemId: string): void {
    const sound = this.#items.get(itemId)
    const bytes = sound && createEncoder(plainFormat(this.#state.config.audio.input.format)).encode(sound.pcm)
    const parts = bytes ? [{ contentIndex: 0, audio: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }] : []
    this.#tell({ type: 'audio_retrieved', requestId, parts })
  }

  #armIdle(afterMs: number): void {
    this.#cancelIdle?.()
    const { position: endMs } = this.#sound
    this.#cancelIdle = this.#deps.clock.after(afterMs, () => this.#tell({ type: 'idle_timeout', startMs: endMs, endMs: this.#sound.position }))
  }
}

/** Sound that comes in changes nothing that another process would miss. */
function isOther(before: realtime.SessionState, after: realtime.SessionState): boolean {
  return before.items !== after.items || before.config !== after.config || before.responses !== after.responses || before.playing !== after.playing
}
