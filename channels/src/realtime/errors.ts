/**
 * Codes of `error` events. OpenAI publishes no list: these were seen on its wire (public issue threads of livekit/agents,
 * openai/openai-agents-python, openai/openai-realtime-api-beta and others) and are kept letter by letter, because clients
 * switch on them. Those under "ours" have no counterpart there.
 */
export const REALTIME_ERROR_CODES = [
  'missing_required_parameter',
  'unknown_parameter',
  'invalid_type',
  'invalid_value',
  'string_above_max_length',
  'string_below_min_length',
  'array_above_max_length',
  'array_below_min_length',
  'integer_above_max_value',
  'integer_below_min_value',
  'decimal_above_max_value',
  'decimal_below_min_value',
  'conversation_already_has_active_response',
  'response_cancel_not_active',
  'input_audio_buffer_commit_empty',
  'item_create_duplicate_item_id',
  'item_create_invalid_previous_item_id',
  'item_retrieve_invalid_item_id',
  'item_delete_invalid_item_id',
  'item_truncate_invalid_item_id',
  'invalid_tool_call_id',
  'unsupported_content_type',
  'cannot_update_voice',
  'session_expired',
  'rate_limit_exceeded',
  'beta_api_shape_disabled',
  // ours
  'invalid_json',
  'input_audio_buffer_full',
  'conversation_full',
  'item_in_progress',
  'not_supported',
] as const
export type RealtimeErrorCode = (typeof REALTIME_ERROR_CODES)[number]

/** What went wrong, before it is an event. `param` is a path such as `session.audio.output.speed`. */
export type Refusal = { code: RealtimeErrorCode; message: string; param: string | null }

export const refuse = (code: RealtimeErrorCode, message: string, param: string | null = null): Refusal => ({ code, message, param })

/** A client's text inside a message: short, whole characters, one line. */
export function quoted(value: string): string {
  const short = value.length > 64 ? `${value.slice(0, 64)}…` : value
  return `'${short.toWellFormed().replaceAll(/[\u0000-\u001f\u007f]/g, ' ')}'`
}
