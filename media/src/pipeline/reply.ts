import type { CallPlayer } from '../playout/player.ts'
import type { Pcm } from '../frame.ts'
import type { SpeechFailure } from '../stt/contract.ts'
import type { TtsEngine, TtsOptions, TtsStream } from '../tts/contract.ts'
import type { Replier, ReplyEnd } from './contract.ts'

export type ReplyNews = {
  token(): void
  audio(): void
  tool(running: boolean): void
  /** Everything is in the player, or there was nothing to say. */
  done(end: ReplyEnd): void
  failed(failure: SpeechFailure | null): void
}

type Speaker = { tts: TtsEngine; player: CallPlayer; options: Omit<TtsOptions, 'signal'> }

/** The agent's answer to one turn: thought of at once, spoken when it may be. Either ends with exactly one `done` or `failed`, or is cancelled. */
export class Reply {
  readonly turn: number
  readonly text: string
  readonly #stop = new AbortController()
  readonly #speaker: Speaker
  readonly #news: ReplyNews
  readonly #fate = Promise.withResolvers<'spoken' | 'discarded'>()
  /** Thought of before it may be spoken. */
  #held: string[] | null
  #voice: Utterance | null = null
  #version = 0
  #end: ReplyEnd | null = null
  #ticked = false

  constructor(turn: number, text: string, replier: Replier, speaker: Speaker, news: ReplyNews, aloud: boolean) {
    this.turn = turn
    this.text = text
    this.#speaker = speaker
    this.#news = news
    this.#held = aloud ? null : []
    if (aloud) this.#fate.resolve('spoken')
    replier({ turn, text, signal: this.#stop.signal, fate: this.#fate.promise, onText: (piece) => this.#text(piece), onDiscard: () => this.#discard(), onTool: (running) => this.#live(() => news.tool(running)) }).then(
      (end) => this.#thought(end),
      () => this.#live(() => this.#fail(null)),
    )
  }

  get cancelled(): boolean {
    return this.#stop.signal.aborted
  }

  /** The turn is over: what was thought of meanwhile is spoken. */
  speak(): void {
    if (this.#held === null) return
    this.#fate.resolve('spoken')
    const held = this.#held
    this.#held = null
    for (const piece of held) this.#text(piece)
    if (this.#end) this.#thought(this.#end)
  }

  /** Nothing more is thought, made or given to the player; what the player has is the caller's of this to cut. */
  cancel(): void {
    this.#fate.resolve('discarded')
    this.#stop.abort()
    this.#voice?.stop()
  }

  #live(act: () => void): void {
    if (!this.cancelled) act()
  }

  #text(piece: string): void {
    if (this.cancelled || piece === '') return
    if (this.#held) {
      this.#held.push(piece)
      return
    }
    if (!this.#ticked) this.#news.token()
    this.#ticked = true
    this.#voice ??= this.#open()
    this.#voice.write(piece)
  }

  /** Another supplier begins the answer anew. What was heard stays heard; what was not is taken out. */
  #discard(): void {
    if (this.cancelled) return
    if (this.#held) this.#held = []
    this.#voice?.stop()
    this.#voice?.drop()
    this.#voice = null
  }

  #open(): Utterance {
    this.#version += 1
    return new Utterance(`reply-${this.turn}.${this.#version}`, this.#speaker, {
      audio: () => this.#live(() => this.#news.audio()),
      done: () => this.#live(() => this.#news.done(this.#end!)),
      failed: (failure) => this.#live(() => this.#fail(failure)),
    })
  }

  #thought(end: ReplyEnd): void {
    if (this.cancelled) return
    this.#end = end
    if (this.#held) return
    if (this.#voice) this.#voice.end()
    else this.#news.done(end)
  }

  #fail(failure: SpeechFailure | null): void {
    this.cancel()
    this.#news.failed(failure)
  }
}

type UtteranceNews = { audio(): void; done(): void; failed(failure: SpeechFailure): void }

/** One text on its way from the voice into the player. */
export class Utterance {
  readonly id: string
  readonly #player: CallPlayer
  readonly #stream: TtsStream
  readonly #stop = new AbortController()
  #room: (() => void) | null = null

  constructor(id: string, { tts, player, options }: Speaker, news: UtteranceNews) {
    this.id = id
    this.#player = player
    this.#stream = tts.speak({ ...options, signal: this.#stop.signal })
    void this.#carry(news)
  }

  write(text: string): void {
    this.#player.text(this.id, text)
    this.#stream.write(text)
  }

  end(): void {
    this.#stream.end()
  }

  /** No more sound of it reaches the player. */
  stop(): void {
    this.#stop.abort()
    this.#stream.close()
    this.#room?.()
  }

  drop(): void {
    this.#player.drop(this.id)
  }

  async #carry(news: UtteranceNews): Promise<void> {
    let first = true
    for await (const event of this.#stream.events) {
      if (this.#stop.signal.aborted) return
      if (event.type === 'audio') {
        if (first) news.audio()
        first = false
        await this.#enqueue(event.pcm)
      } else if (event.type === 'spans') this.#player.spans(this.id, event.spans, event.estimated)
      else if (event.type === 'aside') this.#player.aside(this.id, event.charEnd)
      else if (event.type === 'done') {
        this.#player.end(this.id)
        this.#stream.close()
        return news.done()
      } else {
        this.#player.failed(this.id)
        this.#stream.close()
        return news.failed(event.failure)
      }
    }
  }

  async #enqueue(pcm: Pcm): Promise<void> {
    while (this.#player.enqueue(this.id, pcm) === 'full' && !this.#stop.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#room = resolve
        setTimeout(resolve, ROOM_MS)
      })
      this.#room = null
    }
  }
}

/** A full player is asked again after this time; it plays 20 ms every 20 ms. */
const ROOM_MS = 200
