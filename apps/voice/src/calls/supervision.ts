import { AppError, type Id } from '@trunkline/core'
import { createResampler, type DirectLeg, type MediaPlane, type Pcm, type Resampler, type Room, type SampleRateHz, type WebRtcLeg } from '@trunkline/media'

export type SupervisionMode = 'listen' | 'barge'

export type SupervisionOptions = {
  callId: Id
  /** Of the call's sound. */
  sampleRateHz: SampleRateHz
  plane: () => Promise<MediaPlane>
  /** 20 ms of the supervisor, for the caller. */
  onVoice: (pcm: Pcm) => void
  /** Somebody has the word instead of the agent, or nobody any more. */
  onTakeOver: (on: boolean) => void
  onLeft: () => void
}

const SUPERVISORS_MAX = 5

/**
 * People of the business who hear a call, and may take it over: a room with both sides of the call in it, made when the first of them comes.
 * Whoever barges in speaks to the caller; the agent is silent until the last of them has left.
 */
export class Supervision {
  readonly #options: SupervisionOptions
  readonly #legs = new Map<WebRtcLeg, SupervisionMode>()
  #room: Promise<Room> | null = null
  #caller: DirectLeg | null = null
  #agent: DirectLeg | null = null
  #closed = false

  constructor(options: SupervisionOptions) {
    this.#options = options
  }

  /** What the caller says. */
  caller(pcm: Pcm): void {
    this.#caller?.wire.say(pcm)
  }

  /** What the caller hears. */
  agent(pcm: Pcm): void {
    this.#agent?.wire.say(pcm)
  }

  /** An SDP offer in, the answer and the id of the leg out. Throws AppError: `invalid_request` (the offer), `invalid_state` (over, or too many), `unavailable` (no media worker). */
  async join(offerSdp: string, mode: SupervisionMode): Promise<{ sdp: string; leg: string }> {
    if (this.#closed) throw new AppError('invalid_state', { message: 'The call is over.' })
    if (this.#legs.size >= SUPERVISORS_MAX) throw new AppError('invalid_state', { message: 'As many people listen to this call as may.' })
    this.#room ??= this.#open()
    const room = await this.#room.catch((error: unknown) => {
      this.#room = null
      throw error
    })
    const answer = Promise.withResolvers<string>()
    const leg = await room.join({ supervisor: mode }, { kind: 'webrtc', offerSdp, onAnswer: answer.resolve })
    this.#legs.set(leg, mode)
    leg.onClosed(() => this.#left(leg))
    if (mode === 'barge') this.#bargeIn(leg)
    return { sdp: await answer.promise, leg: leg.id }
  }

  /** False: there is no such leg, or no longer. */
  leave(legId: string): boolean {
    const leg = [...this.#legs.keys()].find(({ id }) => id === legId)
    leg?.close('left')
    return leg !== undefined
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    void this.#room?.then((room) => room.close('the call is over'), () => {})
  }

  async #open(): Promise<Room> {
    const plane = await this.#options.plane()
    const room = await plane.openRoom(`call-${this.#options.callId}`)
    const join = { kind: 'direct', sampleRateHz: this.#options.sampleRateHz } as const
    this.#caller = await room.join('caller', join)
    this.#agent = await room.join('agent', join)
    return room
  }

  #bargeIn(leg: WebRtcLeg): void {
    const { sampleRateHz, onVoice, onTakeOver } = this.#options
    const resampler: Resampler | null = leg.sampleRateHz === sampleRateHz ? null : createResampler({ fromHz: leg.sampleRateHz, toHz: sampleRateHz })
    leg.onConnected(() => onTakeOver(true))
    leg.onFrame((pcm) => onVoice(resampler ? resampler.process(pcm) : pcm))
    leg.onClosed(() => resampler?.close())
  }

  #left(leg: WebRtcLeg): void {
    this.#legs.delete(leg)
    this.#options.onLeft()
    if (!this.#closed && ![...this.#legs.values()].includes('barge')) this.#options.onTakeOver(false)
  }
}
