import type { Expectation } from './expectation.ts'
import type { EndpointMode, PauseModel } from './endpointing.ts'

/** Who has the word, when a turn ends, what an interruption is: rules without I/O. Every time is monotonic milliseconds and comes with the event. */
export type TurnSettings = {
  mode: EndpointMode
  /** The recogniser's time from the end of speech to its final, 99th percentile. */
  sttFinalP99Ms: number
  language: string | null
  /** False: the agent speaks to its end whatever the caller says (a legal announcement). */
  interruptible: boolean
  /** Speech over the agent's voice: softer after so long … */
  duckAfterMs: number
  /** … and silent after so long, although no word was recognised yet. */
  commitAfterMs: number
  /** After a pause of the caller that follows a mere "mhm" the agent is as loud as before. */
  resumeAfterMs: number
  /** Below it the recogniser is not believed: ask again, `askAgainMax` times at most. */
  confidenceMin: number
  askAgainMax: number
  /** Silence of both until "are you there?"; after `silencePrompts` of them we hang up. */
  silenceMs: number
  silencePrompts: number
  maxDurationMs: number
  deadlines: Deadlines
}

/** How long each stage of an answer may take before something is said or switched. */
export type Deadlines = { firstTokenMs: number; firstAudioMs: number; toolFillerMs: number; toolMs: number; playoutMs: number }
export type Stage = 'stt_final' | 'first_token' | 'first_audio' | 'tool' | 'playout'

export const TURN_DEFAULTS: TurnSettings = {
  mode: { type: 'semantic', eagerness: 'auto' },
  sttFinalP99Ms: 700,
  language: null,
  interruptible: true,
  duckAfterMs: 200,
  commitAfterMs: 900,
  resumeAfterMs: 400,
  confidenceMin: 0.6,
  askAgainMax: 3,
  silenceMs: 10_000,
  silencePrompts: 2,
  maxDurationMs: 3_600_000,
  deadlines: { firstTokenMs: 4_000, firstAudioMs: 3_000, toolFillerMs: 1_500, toolMs: 20_000, playoutMs: 120_000 },
}

export type TurnEvent = { nowMs: number } & (
  | { type: 'speech_start' }
  | { type: 'speech_stop' }
  | { type: 'partial'; text: string }
  | { type: 'final'; text: string; confidence: number | null; endOfTurn: boolean }
  /** Of a model that listens to the melody (Smart Turn): how probable it is, 0 to 1, that the turn ends with the pause that is going on. */
  | { type: 'turn_model'; probability: number }
  /** The agent asked for something: the next turn is listened to accordingly. */
  | { type: 'expect'; expectation: Expectation }
  /** Of the reply to turn `turn`; what belongs to an older one is ignored. */
  | { type: 'reply_token'; turn: number }
  | { type: 'reply_audio'; turn: number }
  | { type: 'reply_done'; turn: number }
  | { type: 'reply_failed'; turn: number }
  | { type: 'tool_started'; turn: number }
  | { type: 'tool_ended'; turn: number }
  /** The agent's voice: the first frame left, the last was heard (or the voice was cut). */
  | { type: 'playout_started' }
  | { type: 'playout_ended' }
  /** Somebody else speaks to the caller just now: nobody asks whether they are there. */
  | { type: 'company' }
  /** Digits were collected: they are the caller's turn. */
  | { type: 'digits'; digits: string }
  | { type: 'timer' }
  | { type: 'hung_up' }
)

export type Utterance = 'ask_again' | 'are_you_there' | 'recovery' | 'goodbye' | 'filler'

export type TurnEffect =
  /** The recogniser is to make final what it has. */
  | { do: 'finish_stt' }
  /** The caller's turn is over: answer `text`. Exactly once for each turn. */
  | { do: 'reply'; turn: number; text: string }
  /** The turn is probably over: the answer may be thought of, not spoken. `reply` with the same turn and text takes it. */
  | { do: 'prepare'; turn: number; text: string }
  | { do: 'discard_prepared'; turn: number }
  /** The caller went on before a word was heard: nothing of this reply is said; the next one answers all of it. */
  | { do: 'cancel_reply'; turn: number }
  | { do: 'duck' }
  | { do: 'unduck' }
  /** The caller has the word: the agent's voice ends at once, its reply too. */
  | { do: 'cut'; turn: number }
  | { do: 'say'; what: Utterance }
  | { do: 'switch'; vendor: 'model' | 'tts' }
  | { do: 'incident'; stage: Stage; waitedMs: number }
  /** After what is being said has been heard. */
  | { do: 'hang_up'; reason: 'silence' | 'max_duration' }

export type TurnState = {
  settings: TurnSettings
  caller: 'silent' | 'speaking' | 'pausing'
  speechSinceMs: number
  speechEndedMs: number
  /** Finals and the last partial since the caller's turn began. */
  finals: string[]
  partial: string
  confidence: number
  /** The recogniser holds the caller for done: it has heard silence, too. */
  saysDone: boolean
  /** What the model of the melody said of this pause. */
  melody: number | null
  agent: 'idle' | 'thinking' | 'speaking'
  ducked: boolean
  /** Number of the caller's present or last ended turn. */
  turn: number
  /** What the last ended turn said, until something of the answer was heard. */
  unanswered: string
  prepared: string | null
  replyDone: boolean
  expectation: Expectation
  pauses: PauseModel
  askedAgain: number
  asked: number
  /** What is waited for, and until when. */
  waits: Partial<Record<WaitName, { sinceMs: number; dueMs: number }>>
  endsAtMs: number
  over: boolean
}
export type WaitName = 'duck' | 'commit' | 'resume' | 'endpoint' | 'stt_final' | 'first_token' | 'first_audio' | 'tool_filler' | 'tool' | 'playout' | 'silence'
