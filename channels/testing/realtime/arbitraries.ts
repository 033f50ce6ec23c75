import fc from 'fast-check'
import type { Happening, SessionState } from '../../src/realtime/index.ts'

/**
 * Anything that can come in, sensible or not. Ids are chosen when it is sent, out of those that exist then, so that most
 * inputs meet something and some miss.
 */
export type Move = (state: SessionState) => { client: object } | { happen: Happening }

/** One in eight misses; the youngest are met most, because they are the ones that still change. */
const pick = (list: readonly string[], index: number, gone: string): string =>
  index % 8 === 0 ? gone : (list.at(-1 - ((index >> 3) % Math.max(1, list.length))) ?? gone)
const responseAt = (state: SessionState, index: number): string =>
  pick(
    state.responses.map((response) => response.id),
    index,
    'resp_gone',
  )
const itemAt = (state: SessionState, index: number): string =>
  pick(
    state.items.map((item) => item.id),
    index,
    'item_gone',
  )
const oursAt = (state: SessionState, index: number): string =>
  pick(
    state.items.flatMap((item) => (item.type === 'message' && item.role === 'assistant' ? [item.id] : [])),
    index,
    'item_gone',
  )

const index = fc.nat({ max: 60 })
const words = fc.oneof(fc.constantFrom('Hello', ' there', '', '.', 'ä', '😀', '\ud83d', '"}'), fc.string({ maxLength: 12 }))
const ms = fc.oneof(
  fc.integer({ min: 0, max: 4_000 }),
  fc.double({ min: 0, max: 4_000, noNaN: true }),
  fc.constantFrom(-5, Number.NaN, Number.POSITIVE_INFINITY),
)
const callId = fc.constantFrom('call_a', 'call_b', 'call_c')
const measured = fc.record({ inputText: fc.nat({ max: 99 }), outputAudio: fc.nat({ max: 99 }) })

const client =
  (build: (state: SessionState) => object): Move =>
  (state) => ({ client: build(state) })
const happen =
  (build: (state: SessionState) => Happening): Move =>
  (state) => ({ happen: build(state) })

const config = fc.constantFrom<object>(
  { instructions: 'Be brief.' },
  { output_modalities: ['text'] },
  { output_modalities: ['audio'] },
  { audio: { output: { voice: 'verse' } } },
  { audio: { output: { speed: 1.2 } } },
  { audio: { input: { turn_detection: null } } },
  { audio: { input: { turn_detection: { type: 'server_vad', idle_timeout_ms: 5_000 } } } },
  { audio: { input: { turn_detection: { type: 'server_vad', create_response: false } } } },
  { audio: { input: { turn_detection: { type: 'semantic_vad', interrupt_response: false } } } },
  { audio: { input: { transcription: { model: 'whisper-1' } } } },
  { audio: { input: { format: { type: 'audio/pcmu' } } } },
  { audio: { input: { format: { type: 'audio/pcm' } } } },
  { nonsense: true },
)

const clientMoves: fc.Arbitrary<Move>[] = [
  config.map((session) => client(() => ({ type: 'session.update', session: { type: 'realtime', ...session } }))),
  fc.nat({ max: 60_000 }).map((bytes) => client(() => ({ type: 'input_audio_buffer.append', audio: Buffer.alloc(bytes).toString('base64') }))),
  fc
    .constantFrom('input_audio_buffer.commit', 'input_audio_buffer.clear', 'output_audio_buffer.clear', 'response.cancel')
    .map((type) => client(() => ({ type }))),
  fc.tuple(words, fc.option(index), fc.boolean()).map(([text, after, root]) =>
    client((state) => ({
      type: 'conversation.item.create',
      item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] },
      ...(root ? { previous_item_id: 'root' } : after === null ? {} : { previous_item_id: itemAt(state, after) }),
    })),
  ),
  callId.map((call_id) =>
    client((state) => ({
      type: 'conversation.item.create',
      item:
        state.items.some((item) => item.type === 'function_call') || state.items.length === 0
          ? { type: 'function_call_output', call_id, output: 'done' }
          : { type: 'function_call', call_id, name: 'look_up', arguments: '{}' },
    })),
  ),
  fc
    .tuple(fc.constantFrom('retrieve', 'delete'), index)
    .map(([verb, at]) => client((state) => ({ type: `conversation.item.${verb}`, item_id: itemAt(state, at) }))),
  fc
    .tuple(index, fc.nat({ max: 3_000 }))
    .map(([at, end]) => client((state) => ({ type: 'conversation.item.truncate', item_id: oursAt(state, at), content_index: 0, audio_end_ms: end }))),
  fc.boolean().map((beside) => client(() => ({ type: 'response.create', ...(beside ? { response: { conversation: 'none' } } : {}) }))),
  index.map((at) =>
    client((state) => ({ type: 'response.create', response: { conversation: 'none', input: [{ type: 'item_reference', id: itemAt(state, at) }] } })),
  ),
  index.map((at) => client((state) => ({ type: 'response.cancel', response_id: responseAt(state, at) }))),
  fc.constant(client(() => ({ type: 'response.create' }))),
  fc.json().map((text) => client(() => ({ type: 'response.create', response: { metadata: text } }))),
]

/** An answer is likely enough that it grows before it ends. */
const answerMoves: fc.Arbitrary<Move>[] = [
  fc.tuple(index, words).map(([at, delta]) => happen((state) => ({ type: 'speech_text', responseId: responseAt(state, at), delta }))),
  fc.tuple(index, words).map(([at, delta]) => happen((state) => ({ type: 'text_delta', responseId: responseAt(state, at), delta }))),
  fc
    .tuple(index, fc.nat({ max: 64 }), ms)
    .map(([at, bytes, length]) => happen((state) => ({ type: 'speech_audio', responseId: responseAt(state, at), audio: new Uint8Array(bytes), ms: length }))),
  fc
    .tuple(index, fc.nat({ max: 20 }), ms)
    .map(([at, charEnd, endMs]) => happen((state) => ({ type: 'speech_words', responseId: responseAt(state, at), spans: [{ charEnd, endMs }] }))),
  fc
    .tuple(index, callId, words)
    .map(([at, id, delta]) => happen((state) => ({ type: 'call_delta', responseId: responseAt(state, at), callId: id, name: 'look_up', delta }))),
  fc
    .tuple(index, callId, words)
    .map(([at, id, whole]) => happen((state) => ({ type: 'call_done', responseId: responseAt(state, at), callId: id, name: 'look_up', arguments: whole }))),
  index.map((at) => happen((state) => ({ type: 'message_done', responseId: responseAt(state, at) }))),
  index.map((at) => happen((state) => ({ type: 'message_withdrawn', responseId: responseAt(state, at) }))),
  fc.tuple(index, measured).map(([at, tokens]) => happen((state) => ({ type: 'response_usage', responseId: responseAt(state, at), measured: tokens }))),
]

const endingMoves: fc.Arbitrary<Move>[] = [
  index.map((at) => happen((state) => ({ type: 'response_finished', responseId: responseAt(state, at) }))),
  index.map((at) => happen((state) => ({ type: 'response_incomplete', responseId: responseAt(state, at), reason: 'max_output_tokens' }))),
  index.map((at) => happen((state) => ({ type: 'response_cancelled', responseId: responseAt(state, at), reason: 'turn_detected' }))),
  index.map((at) =>
    happen((state) => ({ type: 'response_failed', responseId: responseAt(state, at), fault: { type: 'server_error', code: 'x', message: 'No.' } })),
  ),
]

const callerMoves: fc.Arbitrary<Move>[] = [
  fc
    .tuple(fc.constantFrom('speech_started', 'speech_started', 'speech_stopped', 'speech_stopped', 'audio_committed'), ms)
    .map(([type, agoMs]) => happen(({ input }) => ({ type, atMs: input.totalMs - agoMs / 10 }))),
  fc
    .nat({ max: 30 })
    .map((index) =>
      happen((state) =>
        state.input.speech
          ? { type: 'speech_stopped', atMs: state.input.totalMs }
          : { type: 'transcription_delta', itemId: itemAt(state, index), contentIndex: 0, delta: 'a' },
      ),
    ),
  fc.tuple(ms, ms).map(([startMs, endMs]) => happen(() => ({ type: 'idle_timeout', startMs, endMs }))),
  fc
    .tuple(index, words)
    .map(([at, transcript]) =>
      happen((state) => ({ type: 'transcription_completed', itemId: itemAt(state, at), contentIndex: 0, transcript, measured: { seconds: 1 } })),
    ),
  fc.tuple(index, words).map(([at, delta]) => happen((state) => ({ type: 'transcription_delta', itemId: itemAt(state, at), contentIndex: 0, delta }))),
  fc
    .tuple(index, index)
    .map(([at, item]) => happen((state) => ({ type: 'playout_started', responseId: responseAt(state, at), itemId: oursAt(state, item), contentIndex: 0 }))),
  fc
    .tuple(index, ms)
    .map(([item, heardMs]) =>
      happen((state) => ({
        type: 'playout_heard',
        responseId: state.playing?.responseId ?? 'none',
        itemId: oursAt(state, item),
        contentIndex: 0,
        ms: heardMs,
      })),
    ),
  fc.constant(happen((state) => ({ type: 'playout_stopped', responseId: state.playing?.responseId ?? 'none' }))),
  index.map((at) =>
    happen((state) => ({
      type: 'audio_retrieved',
      requestId: pick(
        state.retrievals.map((pending) => pending.requestId),
        at,
        'req_gone',
      ),
      parts: [{ contentIndex: 0, audio: 'AAAA' }],
    })),
  ),
  fc.constantFrom('1', '#', 'Z').map((digit) => happen(() => ({ type: 'dtmf', digit, receivedAtS: 1 }))),
]

export const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 5, arbitrary: fc.oneof(...clientMoves) },
  { weight: 6, arbitrary: fc.oneof(...answerMoves) },
  { weight: 1, arbitrary: fc.oneof(...endingMoves) },
  { weight: 3, arbitrary: fc.oneof(...callerMoves) },
)
