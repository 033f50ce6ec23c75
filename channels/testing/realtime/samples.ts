import { realtimeDefaults, responseUsage, type ServerEventFields, type ServerEventType, type WireItem } from '../../src/realtime/index.ts'

/** One of each server event, made by the typed builder: a new event without a sample does not compile. */
const ids = { item_id: 'item_1', response_id: 'resp_1', output_index: 0 }
const part = { ...ids, content_index: 0 }
const message: WireItem = {
  id: 'item_1',
  object: 'realtime.item',
  status: 'completed',
  type: 'message',
  role: 'assistant',
  content: [{ type: 'output_audio', audio: null, transcript: 'Hello' }],
}
const call: WireItem = {
  id: 'item_2',
  object: 'realtime.item',
  status: 'completed',
  type: 'function_call',
  call_id: 'call_1',
  name: 'look_up',
  arguments: '{}',
}
const placed = { item: message, previous_item_id: null }
const heard = { item_id: 'item_1', content_index: 0 }
const session = { ...realtimeDefaults({ model: 'm', voice: 'alloy' }), id: 'sess_1', object: 'realtime.session' as const, expires_at: 1 }
const response = {
  id: 'resp_1',
  object: 'realtime.response' as const,
  status: 'completed' as const,
  status_details: null,
  output: [message, call],
  conversation_id: 'conv_1',
  output_modalities: ['audio' as const],
  max_output_tokens: 'inf' as const,
  audio: { output: { format: { type: 'audio/pcm' as const, rate: 24_000 as const }, voice: 'alloy' } },
  usage: responseUsage({ inputText: 3, outputAudio: 4 }),
  metadata: null,
}

export const SERVER_SAMPLES: { [Type in ServerEventType]: ServerEventFields<Type> } = {
  error: { error: { type: 'invalid_request_error', code: null, message: 'No.', param: null, event_id: null } },
  'session.created': { session },
  'session.updated': { session },
  'conversation.created': { conversation: { id: 'conv_1', object: 'realtime.conversation' } },
  'conversation.item.created': placed,
  'conversation.item.added': placed,
  'conversation.item.done': placed,
  'conversation.item.retrieved': { item: message },
  'conversation.item.deleted': { item_id: 'item_1' },
  'conversation.item.truncated': { ...heard, audio_end_ms: 40 },
  'conversation.item.input_audio_transcription.delta': { ...heard, delta: 'Hel', logprobs: null },
  'conversation.item.input_audio_transcription.segment': { ...heard, id: 'seg_1', text: 'Hello', speaker: 'A', start: 0, end: 0.5 },
  'conversation.item.input_audio_transcription.completed': {
    ...heard,
    transcript: 'Hello',
    usage: { type: 'duration', seconds: 1 },
    logprobs: [{ token: 'Hello', logprob: -0.1, bytes: [72] }],
    languages: [{ code: 'en' }],
  },
  'conversation.item.input_audio_transcription.failed': { ...heard, error: { type: 'server_error', code: 'timeout', message: 'Too late.', param: '' } },
  'input_audio_buffer.committed': { item_id: 'item_1', previous_item_id: null },
  'input_audio_buffer.cleared': {},
  'input_audio_buffer.speech_started': { item_id: 'item_1', audio_start_ms: 0 },
  'input_audio_buffer.speech_stopped': { item_id: 'item_1', audio_end_ms: 900 },
  'input_audio_buffer.timeout_triggered': { item_id: 'item_1', audio_start_ms: 0, audio_end_ms: 5_000 },
  'input_audio_buffer.dtmf_event_received': { event: '9', received_at: 1_763_605_109 },
  'output_audio_buffer.started': { response_id: 'resp_1' },
  'output_audio_buffer.stopped': { response_id: 'resp_1' },
  'output_audio_buffer.cleared': { response_id: 'resp_1' },
  'response.created': { response: { ...response, status: 'in_progress', usage: null, output: [] } },
  'response.done': { response },
  'response.output_item.added': { response_id: 'resp_1', output_index: 1, item: { ...call, status: 'in_progress', arguments: '' } },
  'response.output_item.done': { response_id: 'resp_1', output_index: 1, item: call },
  'response.content_part.added': { ...part, part: { type: 'audio', text: '', audio: '', transcript: '' } },
  'response.content_part.done': { ...part, part: { type: 'text', text: 'Hello', audio: '', transcript: '' } },
  'response.output_text.delta': { ...part, delta: 'Hel' },
  'response.output_text.done': { ...part, text: 'Hello' },
  'response.output_audio.delta': { ...part, delta: 'AAAA' },
  'response.output_audio.done': part,
  'response.output_audio_transcript.delta': { ...part, delta: 'Hel' },
  'response.output_audio_transcript.done': { ...part, transcript: 'Hello' },
  'response.function_call_arguments.delta': { ...ids, call_id: 'call_1', delta: '{' },
  'response.function_call_arguments.done': { ...ids, call_id: 'call_1', name: 'look_up', arguments: '{}' },
  'response.mcp_call_arguments.delta': { ...ids, delta: '{', obfuscation: '' },
  'response.mcp_call_arguments.done': { ...ids, arguments: '{}' },
  'response.mcp_call.in_progress': { item_id: 'item_1', output_index: 0 },
  'response.mcp_call.completed': { item_id: 'item_1', output_index: 0 },
  'response.mcp_call.failed': { item_id: 'item_1', output_index: 0 },
  'mcp_list_tools.in_progress': { item_id: 'item_1' },
  'mcp_list_tools.completed': { item_id: 'item_1' },
  'mcp_list_tools.failed': { item_id: 'item_1' },
  'rate_limits.updated': { rate_limits: [{ name: 'requests', limit: 100, remaining: 99, reset_seconds: 0.5 }] },
}

export const SERVER_EVENT_TYPES = Object.keys(SERVER_SAMPLES) as ServerEventType[]
