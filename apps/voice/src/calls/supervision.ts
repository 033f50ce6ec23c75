import { AppError, type Id, type SupervisionMode } from '@trunkline/core'
import { createResampler, monotonicClock, type DirectLeg, type MediaPlane, type Pcm, type Resampler, type Room, type SampleRateHz, type WebRtcLeg } from '@trunkline/media'
import { SecondVoice } from './second-voice.ts'

/** Whoever a supervisor whispers to. `end`: what was begun is heard out; `close`: dropped. Both are idempotent. */
export type Whisper = {
  /** 20 ms, in order; lent. */
  frame(pcm: Pcm): void
  end(): void
  close(): void
}

export type SupervisionOptions = {
  callId: Id
  /** Of the call's sound. */
  sampleRateHz: SampleRateHz
  plane: () => Promise<MediaPlane>
  /** Throws AppError `invalid_state` for what cannot be done in this call now, while others do that. */
  admit: (mode: SupervisionMode, others: readonly SupervisionMode[]) => void
  /** 20 ms of a supervisor who barges in, for the caller. */
  onVoice: (pcm: Pcm) => void
  /** Somebody has the word instead of the agent, or nobody any more. */
  onTakeOver: (on: boolean) => void
  /** Somebody begins to whisper; their sound has this rate. */
  whisper: (sampleRateHz: SampleRateHz) => Whisper
  onLeft: () => void
}

type Seat = { leg: WebRtcLeg; mode: SupervisionMode; /** Its offer sends sound. */ speaks: boolean; connected: boolean; toCall: Resampler | null; /** For one who barges in while another has the floor. */ beside: SecondVoice | null; whisper: Whisper | null }

const SUPERVISORS_MAX = 5
/** An offer that only hears (RFC 8866 §6.7). */
const HEARS_ONLY = /^a=(?:recvonly|inactive)\r?$/m

/**
 * People of the business in a call: a room with both sides of it, made when the first of them comes. Whoever barges in speaks to the caller, and
 * the agent is silent until the last of them has stopped; whoever whispers is heard by the caller's side of the business alone.
 */
export class Supervision {
  readonly #options: SupervisionOptions
  readonly #seats = new Map<string, Seat>()
  #opening: Promise<Room> | null = null
  #room: Room | null = null
  #caller: DirectLeg | null = null
  #agent: DirectLeg | null = null
  #takenOver = false
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

  /** An SDP offer in, the answer and the id of the leg out. Throws AppError: `invalid_request` (the offer), `invalid_state` (over, too many, not in this call), `unavailable` (no media worker). */
  async join(offerSdp: string, mode: SupervisionMode): Promise<{ sdp: string; leg: string }> {
    if (this.#closed) throw new AppError('invalid_state', { message: 'The call is over.' })
    if (this.#seats.size >= SUPERVISORS_MAX) throw new AppError('invalid_state', { message: 'As many people listen to this call as may.' })
    this.#options.admit(mode, this.#modes(null))
    const speaks = !HEARS_ONLY.test(offerSdp)
    if (mode !== 'listen' && !speaks) throw new AppError('invalid_request', { message: 'The SDP offer sends no sound (recvonly): nobody could hear you.', param: 'sdp' })
    this.#opening ??= this.#open()
    const room = await this.#opening.catch((error: unknown) => {
      this.#opening = null
      throw error
    })
    const answer = Promise.withResolvers<string>()
    const leg = await room.join({ supervisor: mode }, { kind: 'webrtc', offerSdp, onAnswer: answer.resolve })
    this.#seat({ leg, mode, speaks, connected: false, toCall: null, beside: null, whisper: null })
    return { sdp: await answer.promise, leg: leg.id }
  }

  /** From listening to whispering to barging in, and back. Throws AppError `not_found` (no such leg), `invalid_state` (not in this call; a leg that sends no sound). */
  change(legId: string, mode: SupervisionMode): void {
    const seat = this.#seats.get(legId)
    if (!seat || !this.#room) throw new AppError('not_found', { message: 'There is no such leg in this call.', param: 'leg_id' })
    this.#options.admit(mode, this.#modes(seat))
    if (mode !== 'listen' && !seat.speaks) throw new AppError('invalid_state', { message: 'This connection only hears: come again with an offer that sends sound (sendrecv).' })
    this.#room.setRole(legId, { supervisor: mode })
    seat.mode = mode
    if (mode !== 'whisper') this.#endWhisper(seat)
    this.#tellTakeOver()
  }

  /** False: there is no such leg, or no longer. */
  leave(legId: string): boolean {
    const seat = this.#seats.get(legId)
    seat?.leg.close('left')
    return seat !== undefined
  }

  /** The call is over. What is being whispered is dropped. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const seat of this.#seats.values()) {
      seat.whisper?.close()
      seat.whisper = null
    }
    void this.#opening?.then((room) => room.close('the call is over'), () => {})
  }

  #modes(except: Seat | null): SupervisionMode[] {
    return [...this.#seats.values()].flatMap((seat) => (seat === except ? [] : [seat.mode]))
  }

  async #open(): Promise<Room> {
    const plane = await this.#options.plane()
    const room = await plane.openRoom(`call-${this.#options.callId}`)
    const join = { kind: 'direct', sampleRateHz: this.#options.sampleRateHz } as const
    this.#caller = await room.join('caller', join)
    this.#agent = await room.join('agent', join)
    this.#room = room
    return room
  }

  #seat(seat: Seat): void {
    const { leg } = seat
    this.#seats.set(leg.id, seat)
    leg.onFrame((pcm) => this.#spoke(seat, pcm))
    leg.onConnected(() => {
      seat.connected = true
      this.#tellTakeOver()
    })
    leg.onClosed(() => this.#left(seat))
  }

  #spoke(seat: Seat, pcm: Pcm): void {
    if (this.#closed || seat.mode === 'listen') return
    const { leg } = seat
    if (seat.mode === 'whisper') {
      seat.whisper ??= this.#options.whisper(leg.sampleRateHz)
      return seat.whisper.frame(pcm)
    }
    if (leg.sampleRateHz !== this.#options.sampleRateHz) seat.toCall ??= createResampler({ fromHz: leg.sampleRateHz, toHz: this.#options.sampleRateHz })
    this.#bargeIn(seat, seat.toCall ? seat.toCall.process(pcm) : pcm)
  }

  /** The line takes one frame each 20 ms: it goes with the first who barged in, and the others are added to it. */
  #bargeIn(seat: Seat, pcm: Pcm): void {
    const { sampleRateHz, onVoice } = this.#options
    const nowMs = monotonicClock.nowMs()
    const [first, ...others] = [...this.#seats.values()].filter(({ mode, connected }) => mode === 'barge' && connected)
    if (seat === first) return onVoice(others.reduce((sound, { beside }) => beside?.first(sound, nowMs) ?? sound, pcm))
    seat.beside ??= new SecondVoice(sampleRateHz)
    for (const sound of seat.beside.second(pcm, nowMs)) onVoice(sound)
  }

  #endWhisper(seat: Seat): void {
    seat.whisper?.end()
    seat.whisper = null
  }

  #left(seat: Seat): void {
    this.#seats.delete(seat.leg.id)
    this.#endWhisper(seat)
    seat.toCall?.close()
    this.#options.onLeft()
    if (!this.#closed) this.#tellTakeOver()
  }

  #tellTakeOver(): void {
    const on = [...this.#seats.values()].some(({ mode, connected }) => mode === 'barge' && connected)
    if (on === this.#takenOver) return
    this.#takenOver = on
    this.#options.onTakeOver(on)
  }
}
