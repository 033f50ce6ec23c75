import type { Logprob } from '../server-events.ts'
import type { MeasuredTokens, MeasuredTranscription, RateLimit } from '../usage.ts'
import type { Span } from './state.ts'

export type Fault = { type: 'invalid_request_error' | 'server_error'; code: string; message: string }

/**
 * What happens on our side. Positions are milliseconds of all audio that the client appended since the session began.
 * What concerns a response or an item that is gone is ignored: engines are allowed to be late.
 */
export type Happening =
  /** First voiced millisecond; the prefix padding is subtracted here. */
  | { type: 'speech_started'; atMs: number }
  /** The turn is over: the silence that told so is included. Commits, and answers when so configured. */
  | { type: 'speech_stopped'; atMs: number }
  /** The host cut a turn by itself (longest utterance). Commits like the client's own commit. */
  | { type: 'audio_committed'; atMs: number }
  | { type: 'idle_timeout'; startMs: number; endMs: number }
  | { type: 'dtmf'; digit: string; receivedAtS: number }
  | { type: 'transcription_delta'; itemId: string; contentIndex: number; delta: string; logprobs?: Logprob[] }
  | { type: 'transcription_segment'; itemId: string; contentIndex: number; id: string; text: string; speaker: string; startS: number; endS: number }
  | {
      type: 'transcription_completed'
      itemId: string
      contentIndex: number
      transcript: string
      measured: MeasuredTranscription
      languages?: string[]
      logprobs?: Logprob[]
    }
  | { type: 'transcription_failed'; itemId: string; contentIndex: number; fault: Fault }
  /** Written answer (modality text); in a spoken one the same as `speech_text`. */
  | { type: 'text_delta'; responseId: string; delta: string }
  /** Words of the spoken answer. */
  | { type: 'speech_text'; responseId: string; delta: string }
  /** Sound in the response's format: bytes, or base64 already. `ms` is its length. */
  | { type: 'speech_audio'; responseId: string; audio: Uint8Array | string; ms: number }
  /** Word times of the part that is being spoken, counted from its first sample; in order, appended. */
  | { type: 'speech_words'; responseId: string; spans: Span[] }
  /** The message is complete; another may follow. Implied by the end of the response. */
  | { type: 'message_done'; responseId: string }
  /** What is being said was said too early (another engine begins the answer anew): it is closed as incomplete, silenced where we play, and leaves the conversation. */
  | { type: 'message_withdrawn'; responseId: string }
  /** Calls may interleave; one with a new `callId` (at most 64 letters, digits, _ or -: the client repeats it) opens an item. */
  | { type: 'call_delta'; responseId: string; callId: string; name: string; delta: string }
  /** `arguments` is the whole text; what was not streamed yet goes out as one more delta. If it differs, what was streamed counts. */
  | { type: 'call_done'; responseId: string; callId: string; name: string; arguments: string }
  /** Tokens so far, so that a response which is cut off is accounted for. */
  | { type: 'response_usage'; responseId: string; measured: MeasuredTokens }
  | { type: 'response_finished'; responseId: string; measured?: MeasuredTokens }
  | { type: 'response_incomplete'; responseId: string; reason: 'max_output_tokens' | 'content_filter'; measured?: MeasuredTokens }
  | { type: 'response_failed'; responseId: string; fault: Fault; measured?: MeasuredTokens }
  /** The host cancelled by itself (two-stage barge-in decided late). */
  | { type: 'response_cancelled'; responseId: string; reason: 'turn_detected' | 'client_cancelled'; measured?: MeasuredTokens }
  | { type: 'playout_started'; responseId: string; itemId: string; contentIndex: number }
  /** How much of this spoken part has been heard so far. */
  | { type: 'playout_heard'; responseId: string; itemId: string; contentIndex: number; ms: number }
  | { type: 'playout_stopped'; responseId: string }
  /** Right after the start of a response, before anything else of it, as OpenAI does. */
  | { type: 'rate_limits'; limits: RateLimit[] }
  /** Base64 by part; a part that is not kept any more is left out. */
  | { type: 'audio_retrieved'; requestId: string; parts: { contentIndex: number; audio: string }[] }
  /** Something failed that is no response's and no transcription's. */
  | { type: 'fault'; fault: Fault }
  /** The longest duration of a session is over. */
  | { type: 'expired' }
