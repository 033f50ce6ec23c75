import type { AudioFormat } from '../audio.ts'
import type { Prompt, Reasoning, InputConfig, Transcription, Truncation } from '../session-config.ts'
import type { FunctionTool, ToolChoice } from '../tools.ts'
import type { z } from 'zod'

/** One piece of context for the model: what was written, or said and heard. */
export type ViewPart =
  | { type: 'text'; text: string }
  /** Said by the caller; the transcript is null until it is known. The host finds the sound by item and index. */
  | { type: 'audio'; itemId: string; contentIndex: number; transcript: string | null }
  | { type: 'image'; url: string; detail: 'auto' | 'low' | 'high' }

/** The conversation as the model is to see it: without what the caller did not hear and without calls that never ended. */
export type ViewItem =
  | { type: 'message'; id: string; role: 'system' | 'user' | 'assistant'; parts: ViewPart[]; interrupted: boolean }
  | { type: 'function_call'; id: string; callId: string; name: string; arguments: string }
  | { type: 'function_call_output'; id: string; callId: string; output: string }

export type ResponseRequest = {
  responseId: string
  trigger: 'client' | 'turn' | 'idle'
  /** The user message that it answers, when a turn triggered it: its transcript may still be on its way. */
  itemId: string | null
  /** Beside the conversation: its output is not added to it and it may run while another response speaks. */
  outOfBand: boolean
  context: ViewItem[]
  /**
   * False: the context is the conversation, fresh again from `conversationView`. True: it is the client's own input, which
   * is kept nowhere; sound and transcripts of its items belong to this response and go with it.
   */
  ownContext: boolean
  instructions: string
  modality: 'text' | 'audio'
  format: AudioFormat
  voice: string
  speed: number
  tools: FunctionTool[]
  toolChoice: ToolChoice
  parallelToolCalls: boolean
  maxOutputTokens: number | 'inf'
  reasoning: z.infer<typeof Reasoning> | null
  prompt: z.infer<typeof Prompt> | null
  truncation: z.infer<typeof Truncation>
  metadata: Record<string, string> | null
}

/** What the host does. In this order; none of them may fail the session. */
export type Effect =
  /** Whole samples in the format of the input configuration, for VAD and for the item to come. */
  | { type: 'feed_audio'; audio: Uint8Array }
  /** Audio between the two positions (milliseconds of all audio of the session) is now the sound of this item. */
  | { type: 'commit_buffer'; itemId: string; startMs: number; endMs: number }
  /** Forget what waits and any speech that was heard in it. */
  | { type: 'clear_buffer' }
  | { type: 'configure_input'; input: InputConfig }
  /** Sound that came inside an item. */
  | { type: 'store_audio'; itemId: string; contentIndex: number; audio: Uint8Array; format: AudioFormat }
  /** Answer with transcription happenings. `shown: false`: the client did not ask, the model needs it; default settings then. */
  | { type: 'transcribe'; itemId: string; contentIndex: number; shown: boolean; settings: Transcription | null }
  /** Answer with deltas and one ending. */
  | { type: 'start_response'; request: ResponseRequest }
  /** Stop all work on it; whatever still comes of it is ignored. `response.done` has already left. */
  | { type: 'cancel_response'; responseId: string; reason: 'turn_detected' | 'client_cancelled' | 'session_expired' }
  /** Silence now (playout on our side only). */
  | { type: 'cut_playout'; responseId: string }
  /** The archive keeps what was heard. */
  | { type: 'truncate_item'; itemId: string; contentIndex: number; audioEndMs: number; heardText: string; estimated: boolean }
  /** Its sound is no longer needed. */
  | { type: 'drop_item'; itemId: string }
  /** Answer with `audio_retrieved` in any case: the client waits for it. */
  | { type: 'retrieve_audio'; requestId: string; itemId: string }
  /**
   * Send `idle_timeout` after `timeoutMs` of silence, counted from the moment the `audioMs` of this response have been
   * played (it leaves faster than real time). Replaces the timer before it.
   */
  | { type: 'arm_idle'; timeoutMs: number; responseId: string; audioMs: number }
  | { type: 'disarm_idle' }
  /** WebSocket close code and reason, after what is to be sent has left. */
  | { type: 'close'; code: number; reason: string }
