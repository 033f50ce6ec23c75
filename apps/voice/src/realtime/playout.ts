import { CallPlayer, createResampler, type Leg, type Outcome, type Pcm, type PlayoutClock, type Resampler } from '@trunkline/media'

export type PlayoutEvents = {
  /** The first of it leaves. */
  started(itemId: string): void
  /** The last of it was heard, or it was cut. */
  stopped(itemId: string): void
}
export type PlayoutOptions = { wheel: PlayoutClock; leg: Pick<Leg, 'sampleRateHz' | 'send'>; onFault: (error: unknown) => void }

/** Our voice in a call that we play ourselves: items of the conversation, one after the other, in real time. */
export class Playout {
  readonly #player: CallPlayer
  readonly #rateHz: number
  readonly #events: PlayoutEvents
  #resampler: { fromHz: number; stream: Resampler } | null = null
  #playing: string | null = null
  #room: (() => void)[] = []
  #cuts = 0

  constructor({ wheel, leg, onFault }: PlayoutOptions, events: PlayoutEvents) {
    this.#rateHz = leg.sampleRateHz
    this.#events = events
    this.#player = new CallPlayer({
      wheel, wire: { send: (pcm) => leg.send(pcm) }, sampleRateHz: leg.sampleRateHz, onFault,
      onFirst: (itemId, stage) => void (stage === 'sent' && this.#start(itemId)),
      onSettled: (itemId, outcome) => this.#settled(itemId, outcome),
      onRoom: () => this.#letIn(),
    })
  }

  /** Resolves when it waits its turn; a voice that is far ahead of its listener is held back here. */
  async say(itemId: string, pcm: Pcm, fromHz: number): Promise<void> {
    const sound = this.#resampled(pcm, fromHz)
    const cuts = this.#cuts
    // What waited for room when all was cut is not to be heard after it.
    while (cuts === this.#cuts && this.#player.enqueue(itemId, sound) === 'full') await new Promise<void>((resolve) => this.#room.push(resolve))
  }

  end(itemId: string): void {
    this.#player.end(itemId)
  }

  /** What is being heard, and how much of it was; null when nothing is. */
  heard(): { itemId: string; ms: number } | null {
    const itemId = this.#playing
    if (itemId === null) return null
    return { itemId, ms: this.#player.heardUntil('likely').find(({ utteranceId }) => utteranceId === itemId)?.ms ?? 0 }
  }

  /** Silence, within a frame. */
  cut(): void {
    // Told by whoever cuts: these are not heard to their end.
    this.#playing = null
    this.#cuts += 1
    this.#player.cut()
    this.#letIn()
  }

  close(): void {
    this.#playing = null
    this.#cuts += 1
    this.#player.close()
    this.#resampler?.stream.close()
    this.#letIn()
  }

  #start(itemId: string): void {
    if (this.#playing !== null && this.#playing !== itemId) this.#events.stopped(this.#playing)
    this.#playing = itemId
    this.#events.started(itemId)
  }

  #settled(itemId: string, _outcome: Outcome): void {
    this.#player.forget(itemId)
    if (this.#playing !== itemId) return
    this.#playing = null
    this.#events.stopped(itemId)
  }

  #letIn(): void {
    for (const enter of this.#room.splice(0)) enter()
  }

  #resampled(pcm: Pcm, fromHz: number): Pcm {
    if (fromHz === this.#rateHz) return pcm
    if (this.#resampler?.fromHz !== fromHz) {
      this.#resampler?.stream.close()
      this.#resampler = { fromHz, stream: createResampler({ fromHz, toHz: this.#rateHz }) }
    }
    return this.#resampler.stream.process(pcm)
  }
}
