/**
 * Who has answered a call of ours. `machine`: a voice mailbox or an answering machine; `machine_ivr`: a menu; `screening`: an assistant that
 * asks for us before a person comes (iOS, Pixel); `fax`: it sings at 2100 Hz; `unknown`: nobody spoke, or nothing could be told in time.
 */
export type AmdVerdict = 'human' | 'machine' | 'machine_ivr' | 'screening' | 'fax' | 'unknown'

/** What gave it away. */
export type AmdReason = 'short_greeting' | 'long_greeting' | 'words' | 'tone' | 'no_speech' | 'budget'

/** Milliseconds. The first five are what LiveKit's detector takes (agents/src/voice/amd.ts). */
export type AmdSettings = {
  /** Of the callee, for the words; null: all that are known. */
  language: string | null
  /** A person's greeting is no longer, and then waits for ours so long. */
  humanSpeechMs: number
  humanSilenceMs: number
  /** After a longer greeting silence for so long is its end. */
  machineSilenceMs: number
  noSpeechMs: number
  budgetMs: number
  /** A machine that has announced a tone is given longer. */
  toneSilenceMs: number
  /** No greeting of a machine is longer. */
  greetingMs: number
}

export const AMD_DEFAULTS: AmdSettings = {
  language: null,
  humanSpeechMs: 2_500,
  humanSilenceMs: 500,
  machineSilenceMs: 1_500,
  noSpeechMs: 10_000,
  budgetMs: 20_000,
  toneSilenceMs: 4_000,
  greetingMs: 60_000,
}

/** `nowMs`: monotonic. `atMs`: by the same clock, where speech began or ended; a detector tells it a little later. */
export type AmdEvent = { nowMs: number } & (
  | { type: 'speech_start'; atMs: number }
  | { type: 'speech_stop'; atMs: number }
  | { type: 'partial'; text: string }
  | { type: 'final'; text: string }
  /** A single tone has begun: the silence is none, nor is it speech (a detector by loudness takes it for that). */
  | { type: 'tone_start'; atMs: number }
  /** It has ended. */
  | { type: 'tone'; hz: number; durationMs: number }
  | { type: 'timer' }
)

export type AmdEffect =
  /** The first is to be acted upon. A later one corrects it: words came that no person says. */
  | { do: 'verdict'; verdict: AmdVerdict; reason: AmdReason; revised: boolean }
  /**
   * Now it is our turn: leave a message, say who we are, press a key. `takesMessages`: false when it has said that it is full. Once more with
   * `beep` when the tone comes after a silence that seemed to be the end: the message begins anew.
   */
  | { do: 'greeting_ended'; by: 'beep' | 'silence' | 'time'; takesMessages: boolean }

/** Data: can be kept anywhere. */
export type AmdState = {
  settings: AmdSettings
  openedMs: number
  /** Null while the callee is silent. */
  speakingSinceMs: number | null
  silentSinceMs: number
  toneSounds: boolean
  /** Of finished stretches of speech. */
  spokenMs: number
  finals: string
  partial: string
  verdict: AmdVerdict | null
  greetingEnded: 'not' | 'silence' | 'over'
  over: boolean
}
