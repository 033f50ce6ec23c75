import { realtime } from '@trunkline/channels'
import type { Vendor } from '@trunkline/agents'
import type { Clock, Logger } from '@trunkline/core'
import { createEncoder, type Pcm, type SttEngine, type TtsEngine, type Vad } from '@trunkline/media'
import type { RawData, WebSocket } from 'ws'
import { InputSound, plainFormat } from './input-sound.ts'
import type { Purse } from './purse.ts'
import { NO_CREDIT, ResponseRun } from './response.ts'

export type SessionDeps = {
  vad: Vad
  /** Null: nobody here can write down what is said. */
  stt: SttEngine | null
  tts: TtsEngine
  vendor: Vendor
  model: string
  clock: Clock
  log: Logger
  purse: Purse
}

/** Unsent events of a client that does not read; above it the session is over. */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024
/** Sound of items, for transcription and `retrieve`; the oldest go first. */
const ITEMS_SOUND_MS_MAX = 300_000
const TRANSCRIBE_TIMEOUT_MS = 20_000

/**
 * One Realtime session on its socket: what the pure machine of `channels/realtime` asks for is done here, with real engines. The machine's state is
 * the only memory of the conversation; this object keeps sound, timers and what is running.
 */
export class SessionHost {
  readonly #socket: WebSocket
  readonly #codec: realtime.RealtimeCodec
  readonly #deps: SessionDeps
  readonly #sound: InputSound
  readonly #runs = new Map<string, ResponseRun>()
  readonly #items = new Map<string, { pcm: Pcm; rateHz: number }>()
  readonly #transcripts = new Map<string, Promise<void>>()
  readonly #stop = new AbortController()
  #state: realtime.SessionState
  #itemsMs = 0
  #cancelIdle: (() => void) | null = null
  #closed = false

  constructor(socket: WebSocket, codec: realtime.RealtimeCodec, first: realtime.Step, deps: SessionDeps) {
    this.#socket = socket
    this.#codec = codec
    this.#deps = deps
    this.#state = first.state
    this.#sound = new InputSound(deps.vad, first.state.config.audio.input, {
      speechStarted: (atMs) => this.#tell({ type: 'speech_started', atMs }),
      speechStopped: (atMs) => this.#tell({ type: 'speech_stopped', atMs }),
    })
    socket.on('message', (data: RawData) => this.#message(data))
    socket.on('close', () => this.close())
    socket.on('error', () => this.close())
    this.#take(first)
  }

  get state(): realtime.SessionState {
    return this.#state
  }

  /** The longest duration of a session is over. */
  expire(): void {
    this.#tell({ type: 'expired' })
  }

  /** Frees everything. The socket's closing is the caller's, or has happened. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stop.abort()
    this.#cancelIdle?.()
    for (const run of this.#runs.values()) run.cancel()
    this.#sound.close()
    this.#items.clear()
    void this.#deps.purse.close()
  }

  #message(data: RawData): void {
    if (this.#closed) return
    const text = Buffer.isBuffer(data) ? data.toString('utf8') : Array.isArray(data) ? Buffer.concat(data).toString('utf8') : Buffer.from(data).toString('utf8')
    this.#take(realtime.receiveParsed(this.#state, this.#codec.read(text)))
  }

  #tell(happening: realtime.Happening): void {
    if (!this.#closed) this.#take(realtime.step(this.#state, happening))
  }

  #take({ state, send, effects }: realtime.Step): void {
    this.#state = state
    for (const event of send) this.#send(event)
    for (const effect of effects) this.#do(effect)
  }

  #send(event: realtime.ServerEvent): void {
    if (this.#closed) return
    const text = this.#codec.write(event)
    if (text !== null) this.#socket.send(text)
    if (this.#socket.bufferedAmount <= BUFFERED_BYTES_MAX) return
    this.#deps.log.info({}, 'a realtime client does not read: its session ends')
    this.#socket.close(1013, 'too slow')
    this.close()
  }

  #do(effect: realtime.Effect): void {
    switch (effect.type) {
      case 'feed_audio': return this.#sound.feed(effect.audio)
      case 'commit_buffer': return this.#keep(effect.itemId, this.#sound.between(effect.startMs, effect.endMs), this.#sound.sampleRateHz)
      case 'clear_buffer': return this.#sound.forget()
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
        this.#socket.close(effect.code, effect.reason)
        return this.close()
      // The client plays, and tells by truncation what it did not; sound that came inside an item is text to us.
      case 'store_audio':
      case 'cut_playout':
      case 'truncate_item':
    }
  }

  #keep(itemId: string, pcm: Pcm, rateHz: number): void {
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
  }

  async #write(itemId: string, contentIndex: number, sound: { pcm: Pcm; rateHz: number } | undefined, language: string | null): Promise<void> {
    try {
      if (!this.#deps.stt || !sound || sound.pcm.length === 0) throw new Error('nobody to write, or nothing to write down')
      if (!(await this.#deps.purse.listen((sound.pcm.length / sound.rateHz) * 1_000))) return this.#unwritten(itemId, contentIndex, NO_CREDIT)
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(TRANSCRIBE_TIMEOUT_MS)])
      const { text, durationMs, usage } = await this.#deps.stt.transcribe(sound.pcm, { sampleRateHz: this.#sound.sampleRateHz, language, keyterms: [], signal })
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
    const { vendor, model, tts, purse, log } = this.#deps
    const run = new ResponseRun(request, {
      vendor, model, tts, purse, log,
      view: (wanted) => this.#view(wanted),
      tell: (happening) => {
        if (happening.type.startsWith('response_')) this.#runs.delete(request.responseId)
        this.#tell(happening)
      },
    })
    this.#runs.set(request.responseId, run)
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
