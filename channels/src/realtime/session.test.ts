import { describe, expect, it } from 'vitest'
import { appended, drive, errorOf, typesOf, type Driver } from '../../testing/realtime/driver.ts'
import { answer, message, only, spoken, update } from '../../testing/realtime/scenes.ts'
import { conversationView, LIMITS, realtimeDefaults, restore, serialise, transcriptionDefaults, type ServerEvent } from './index.ts'

const order = (session: Driver) => session.state().items.map((item) => item.id)

describe('a session', () => {
  it('begins with its whole configuration, then its conversation', () => {
    const session = drive()
    expect(typesOf(session.events)).toEqual(['session.created', 'conversation.created'])
    expect(only(session.events, 'session.created').session).toMatchObject({
      type: 'realtime',
      object: 'realtime.session',
      id: 'sess_Test',
      model: 'agent',
      tool_choice: 'auto',
      audio: { output: { voice: 'alloy', speed: 1 } },
    })
  })

  it('changes only what an update says, and shows all of it', () => {
    const session = drive({ config: realtimeDefaults({ model: 'agent', voice: 'alloy', instructions: 'Old.' }) })
    session.client(update({ tools: [{ type: 'function', name: 'f' }], audio: { input: { turn_detection: { type: 'server_vad', threshold: 0.7 } } } }))
    const { session: shown } = only(session.client(update({ audio: { input: { transcription: { model: 'whisper-1' } } } })), 'session.updated')
    expect(shown).toMatchObject({
      instructions: 'Old.',
      tools: [{ type: 'function', name: 'f', description: '', parameters: { type: 'object', properties: {} } }],
      audio: { input: { turn_detection: { threshold: 0.7, silence_duration_ms: 500 }, transcription: { model: 'whisper-1', language: null } } },
    })
  })

  it('clears with an empty text, an empty list and null', () => {
    const session = drive({ config: realtimeDefaults({ model: 'agent', voice: 'alloy', instructions: 'Old.' }) })
    session.client(update({ tools: [{ type: 'function', name: 'f' }], prompt: { id: 'p' } }))
    const { session: shown } = only(
      session.client(update({ instructions: '', tools: [], prompt: null, audio: { input: { turn_detection: null } } })),
      'session.updated',
    )
    expect(shown).toMatchObject({ instructions: '', tools: [], prompt: null, audio: { input: { turn_detection: null } } })
  })

  it('starts from the defaults of a turn detection that is switched to', () => {
    const session = drive()
    session.client(update({ audio: { input: { turn_detection: { type: 'semantic_vad', eagerness: 'low' } } } }))
    expect(session.state().config.audio.input.turn_detection).toEqual({
      type: 'semantic_vad',
      eagerness: 'low',
      create_response: true,
      interrupt_response: true,
    })
  })

  it('keeps its model, whatever a client that never heard of it writes', () => {
    expect(only(drive().client(update({ model: 'gpt-realtime' })), 'session.updated').session).toMatchObject({ model: 'agent' })
  })

  it('keeps its voice once it has spoken, and nothing of such an update applies', () => {
    const session = drive()
    expect(errorOf(session.client(update({ audio: { output: { voice: 'verse' } } })))).toBeNull()
    answer(session, spoken(session))
    expect(errorOf(session.client(update({ instructions: 'New.', audio: { output: { voice: 'alloy' } } })))).toMatchObject({
      code: 'cannot_update_voice',
      event_id: 'e',
    })
    expect(session.state().config).toMatchObject({ instructions: '' })
    expect(errorOf(session.client(update({ audio: { output: { voice: 'verse' } } })))).toBeNull()
  })

  it('is of one kind for ever', () => {
    expect(errorOf(drive().client({ type: 'session.update', session: { type: 'transcription' } }))).toMatchObject({
      code: 'invalid_value',
      param: 'session.type',
    })
  })

  it('that transcribes has turns and words and no answers', () => {
    const session = drive({ config: transcriptionDefaults('whisper-1') })
    expect(typesOf(session.events)).toEqual(['session.created'])
    session.client(appended(2_000))
    session.happen({ type: 'speech_started', atMs: 400 })
    const sent = session.happen({ type: 'speech_stopped', atMs: 1_500 })
    expect(typesOf(sent)).toEqual(['input_audio_buffer.speech_stopped', 'input_audio_buffer.committed', 'conversation.item.added', 'conversation.item.done'])
    expect(session.last()).toContainEqual(
      expect.objectContaining({ type: 'transcribe', shown: true, settings: expect.objectContaining({ model: 'whisper-1' }) }),
    )
    expect(errorOf(session.client({ type: 'response.create' }))).toMatchObject({ code: 'not_supported' })
    expect(errorOf(session.client(message('x')))).toMatchObject({ code: 'not_supported' })
  })

  it('that is over says so, ends what runs and closes', () => {
    const session = drive()
    spoken(session)
    const sent = session.happen({ type: 'expired' })
    expect(typesOf(sent)).toEqual(['response.done', 'error'])
    expect(errorOf(sent)).toMatchObject({ code: 'session_expired' })
    expect(session.last().map((effect) => effect.type)).toEqual(['cancel_response', 'close'])
  })
})

describe('the input buffer', () => {
  it('feeds whole samples, also when a client cuts in the middle of one', () => {
    const session = drive()
    session.client({ type: 'input_audio_buffer.append', audio: Buffer.from([1, 2, 3]).toString('base64') })
    session.client({ type: 'input_audio_buffer.append', audio: Buffer.from([4, 5, 6]).toString('base64') })
    expect(session.effects.flatMap((effect) => (effect.type === 'feed_audio' ? [[...effect.audio]] : []))).toEqual([
      [1, 2],
      [3, 4, 5, 6],
    ])
  })

  it('is never acknowledged, and refuses what is no base64', () => {
    const session = drive()
    expect(session.client(appended(20))).toEqual([])
    expect(errorOf(session.client({ type: 'input_audio_buffer.append', event_id: 'x', audio: 'ab*=' }))).toMatchObject({
      code: 'invalid_value',
      param: 'audio',
      event_id: 'x',
    })
  })

  it('cannot be committed before 100 ms', () => {
    const session = drive()
    session.client(appended(99))
    expect(errorOf(session.client({ type: 'input_audio_buffer.commit' }))).toMatchObject({
      code: 'input_audio_buffer_commit_empty',
      message: expect.stringContaining('99.00ms'),
    })
    session.client(appended(1))
    const sent = session.client({ type: 'input_audio_buffer.commit' })
    expect(typesOf(sent)).toEqual(['input_audio_buffer.committed', 'conversation.item.added', 'conversation.item.done'])
    expect(session.last()[0]).toEqual({ type: 'commit_buffer', itemId: only(sent, 'input_audio_buffer.committed').item_id, startMs: 0, endMs: 100 })
  })

  it('is empty after clear', () => {
    const session = drive()
    session.client(appended(500))
    expect(typesOf(session.client({ type: 'input_audio_buffer.clear' }))).toEqual(['input_audio_buffer.cleared'])
    expect(errorOf(session.client({ type: 'input_audio_buffer.commit' }))).toMatchObject({ message: expect.stringContaining(' 0.00ms') })
  })

  it('counts G.711 as eight bytes a millisecond', () => {
    const session = drive()
    session.client(update({ audio: { input: { format: { type: 'audio/pcmu' } } } }))
    session.client({ type: 'input_audio_buffer.append', audio: Buffer.alloc(800).toString('base64') })
    expect(session.state().input.totalMs).toBe(100)
  })

  it('is bounded: without turn detection it refuses, with it the oldest falls off', () => {
    const fill = (session: Driver): ServerEvent[] => Array.from({ length: 3 }, () => session.client(appended(250_000))).flat()
    const listening = drive()
    expect(fill(listening)).toEqual([])
    expect(listening.state().input).toMatchObject({ totalMs: 750_000, waitingMs: LIMITS.bufferMs })
    const manual = drive()
    manual.client(update({ audio: { input: { turn_detection: null } } }))
    expect(errorOf(fill(manual))).toMatchObject({ code: 'input_audio_buffer_full' })
  })

  it('begins a turn with its padding, and never before what was committed', () => {
    const session = drive()
    session.client(appended(1_000))
    expect(only(session.happen({ type: 'speech_started', atMs: 800 }), 'input_audio_buffer.speech_started').audio_start_ms).toBe(500)
    session.happen({ type: 'speech_stopped', atMs: 900 })
    session.client(appended(1_000))
    expect(only(session.happen({ type: 'speech_started', atMs: 1_000 }), 'input_audio_buffer.speech_started').audio_start_ms).toBe(900)
  })

  it('committed by the client during speech uses the id that speech_started told, and speech_stopped is not sent', () => {
    const session = drive()
    session.client(appended(1_000))
    const { item_id } = only(session.happen({ type: 'speech_started', atMs: 800 }), 'input_audio_buffer.speech_started')
    expect(only(session.client({ type: 'input_audio_buffer.commit' }), 'input_audio_buffer.committed').item_id).toBe(item_id)
    expect(session.happen({ type: 'speech_stopped', atMs: 1_000 })).toEqual([])
  })

  it('keeps the id of a turn that had begun when turn detection is switched off', () => {
    const session = drive()
    session.client(appended(1_000))
    const { item_id } = only(session.happen({ type: 'speech_started', atMs: 800 }), 'input_audio_buffer.speech_started')
    session.client(update({ audio: { input: { turn_detection: null } } }))
    expect(only(session.client({ type: 'input_audio_buffer.commit' }), 'input_audio_buffer.committed').item_id).toBe(item_id)
  })

  it('hears no turns when turn detection is off', () => {
    const session = drive()
    session.client(update({ audio: { input: { turn_detection: null } } }))
    session.client(appended(1_000))
    expect(session.happen({ type: 'speech_started', atMs: 500 })).toEqual([])
  })

  it('passes a pressed key on', () => {
    expect(only(drive().happen({ type: 'dtmf', digit: '#', receivedAtS: 1_763_605_109.7 }), 'input_audio_buffer.dtmf_event_received')).toMatchObject({
      event: '#',
      received_at: 1_763_605_109,
    })
  })

  it('answers silence when an idle timeout is set, counted from the end of playing', () => {
    const session = drive()
    session.client(update({ audio: { input: { turn_detection: { type: 'server_vad', idle_timeout_ms: 6_000 } } } }))
    const first = spoken(session)
    answer(session, first)
    session.happen({ type: 'response_finished', responseId: first })
    expect(session.last()).toEqual([{ type: 'arm_idle', timeoutMs: 6_000, responseId: first, audioMs: 400 }])
    session.client(appended(7_000))
    const sent = session.happen({ type: 'idle_timeout', startMs: 2_400, endMs: 8_400 })
    expect(typesOf(sent)).toEqual([
      'input_audio_buffer.timeout_triggered',
      'input_audio_buffer.committed',
      'conversation.item.added',
      'conversation.item.done',
      'response.created',
    ])
    expect(session.last()).toContainEqual(expect.objectContaining({ type: 'start_response', request: expect.objectContaining({ trigger: 'idle' }) }))
    expect(session.happen({ type: 'idle_timeout', startMs: 2_400, endMs: 8_400 })).toEqual([])
  })
})

describe('transcripts of the caller', () => {
  it('are sent only when asked for, and are always there for the model', () => {
    const session = drive()
    spoken(session)
    const itemId = order(session)[0]!
    expect(session.happen({ type: 'transcription_completed', itemId, contentIndex: 0, transcript: 'Hi', measured: { seconds: 1.3 } })).toEqual([])
    expect(conversationView(session.state())[0]).toMatchObject({ parts: [{ type: 'audio', transcript: 'Hi' }] })
    expect(only(session.client({ type: 'conversation.item.retrieve', item_id: itemId }), 'conversation.item.retrieved').item).toMatchObject({
      content: [{ type: 'input_audio', transcript: null }],
    })
  })

  it('carry their usage, by duration or by tokens', () => {
    const session = drive()
    session.client(update({ audio: { input: { transcription: {} } } }))
    spoken(session)
    const itemId = order(session)[0]!
    expect(typesOf(session.happen({ type: 'transcription_delta', itemId, contentIndex: 0, delta: 'H' }))).toEqual([
      'conversation.item.input_audio_transcription.delta',
    ])
    const completed = session.happen({
      type: 'transcription_completed',
      itemId,
      contentIndex: 0,
      transcript: 'Hi',
      measured: { inputText: 1, inputAudio: 20, output: 2 },
    })
    expect(only(completed, 'conversation.item.input_audio_transcription.completed').usage).toEqual({
      type: 'tokens',
      total_tokens: 23,
      input_tokens: 21,
      output_tokens: 2,
      input_token_details: { text_tokens: 1, audio_tokens: 20 },
    })
    expect(only(session.client({ type: 'conversation.item.retrieve', item_id: itemId }), 'conversation.item.retrieved').item).toMatchObject({
      content: [{ transcript: 'Hi' }],
    })
  })

  it('that fail say which item, and a transcript of an item that is gone is ignored', () => {
    const session = drive()
    session.client(update({ audio: { input: { transcription: {} } } }))
    spoken(session)
    const itemId = order(session)[0]!
    const fault = { type: 'server_error', code: 'timeout', message: 'No answer.' } as const
    expect(
      only(session.happen({ type: 'transcription_failed', itemId, contentIndex: 0, fault }), 'conversation.item.input_audio_transcription.failed').error,
    ).toEqual({ ...fault, param: '' })
    session.client({ type: 'conversation.item.delete', item_id: itemId })
    expect(session.happen({ type: 'transcription_completed', itemId, contentIndex: 0, transcript: 'Hi', measured: { seconds: 1 } })).toEqual([])
  })
})

describe('items', () => {
  it('stand where they are put: at the end, at the root, or behind another', () => {
    const session = drive()
    session.client(message('b', { item: { id: 'b' } }))
    session.client(message('a', { previous_item_id: 'root', item: { id: 'a' } }))
    const added = only(session.client(message('ab', { previous_item_id: 'a', item: { id: 'ab' } })), 'conversation.item.added')
    session.client(message('c', { item: { id: 'c' } }))
    expect(added.previous_item_id).toBe('a')
    expect(order(session)).toEqual(['a', 'ab', 'b', 'c'])
  })

  it.each([
    ['an unknown predecessor', message('x', { previous_item_id: 'nobody' }), { code: 'item_create_invalid_previous_item_id', param: 'previous_item_id' }],
    ['an id that is taken', message('x', { item: { id: 'a' } }), { code: 'item_create_duplicate_item_id', param: 'item.id' }],
    [
      'an answer to a call that never was',
      { type: 'conversation.item.create', item: { type: 'function_call_output', call_id: 'call_x', output: '' } },
      { code: 'invalid_tool_call_id', param: 'item.call_id' },
    ],
    [
      'sound in our own name',
      { type: 'conversation.item.create', item: { type: 'message', role: 'assistant', content: [{ type: 'output_audio', transcript: 'I agree.' }] } },
      { code: 'unsupported_content_type' },
    ],
    [
      'sound that is none',
      { type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_audio', audio: '???' }] } },
      { code: 'invalid_value', param: 'item.content[0].audio' },
    ],
  ])('are refused with %s', (_, event, expected) => {
    const session = drive()
    session.client(message('a', { item: { id: 'a' } }))
    expect(errorOf(session.client({ ...event, event_id: 'e' }))).toMatchObject({ ...expected, event_id: 'e' })
    expect(order(session)).toEqual(['a'])
  })

  it('are bounded in number and size', () => {
    const session = drive()
    for (let count = 0; count < 17; count += 1) session.client(message('x'.repeat(LIMITS.text)))
    expect(errorOf(session.events)).toMatchObject({ code: 'conversation_full' })
  })

  it('with sound hand it to the host, to be kept and transcribed', () => {
    const session = drive()
    session.client({
      type: 'conversation.item.create',
      item: { id: 'a', type: 'message', role: 'user', content: [{ type: 'input_audio', audio: Buffer.alloc(480).toString('base64') }] },
    })
    expect(session.last().map((effect) => effect.type)).toEqual(['store_audio', 'transcribe'])
  })

  it('are retrieved with their sound when the host keeps it', () => {
    const session = drive({ keepsAudio: true })
    spoken(session)
    const itemId = order(session)[0]!
    expect(session.client({ type: 'conversation.item.retrieve', item_id: itemId })).toEqual([])
    const [effect] = session.last()
    const requestId = effect?.type === 'retrieve_audio' ? effect.requestId : ''
    const sent = session.happen({ type: 'audio_retrieved', requestId, parts: [{ contentIndex: 0, audio: 'AAAA' }] })
    expect(only(sent, 'conversation.item.retrieved').item).toMatchObject({ content: [{ type: 'input_audio', audio: 'AAAA' }] })
    expect(session.happen({ type: 'audio_retrieved', requestId, parts: [] })).toEqual([])
  })

  it('that do not exist cannot be retrieved, deleted or truncated', () => {
    const session = drive()
    const codes = ['retrieve', 'delete', 'truncate'].map((verb) => {
      const more = verb === 'truncate' ? { content_index: 0, audio_end_ms: 1 } : {}
      return errorOf(session.client({ type: `conversation.item.${verb}`, item_id: 'x', ...more }))?.code
    })
    expect(codes).toEqual(['item_retrieve_invalid_item_id', 'item_delete_invalid_item_id', 'item_truncate_invalid_item_id'])
  })

  it('that are being generated cannot be deleted', () => {
    const session = drive()
    const itemId = answer(session, spoken(session))
    expect(errorOf(session.client({ type: 'conversation.item.delete', item_id: itemId }))).toMatchObject({ code: 'item_in_progress' })
  })
})

describe('stored and restored', () => {
  it('refuses what is not a session of ours', () => {
    for (const stored of ['', '{}', '{"version":0}', 'null', serialise(drive().state()).replace('"version":1', '"version":2')])
      expect(() => restore(stored), stored).toThrow(expect.objectContaining({ code: 'invalid_state' }))
  })

  it('greets a client that comes back with the session that it knows', () => {
    const session = drive()
    const responseId = spoken(session)
    const sent = session.takeOver({ engineLost: false })
    expect(typesOf(sent)).toEqual(['session.created', 'conversation.created'])
    expect(only(sent, 'session.created').session.id).toBe('sess_Test')
    expect(session.state().responses.map((response) => response.id)).toEqual([responseId])
  })

  it('tells a client that comes back to another process what was lost', () => {
    const session = drive()
    answer(session, spoken(session))
    const sent = session.takeOver({ engineLost: true })
    expect(only(sent, 'response.done').response).toMatchObject({ status: 'failed', status_details: { error: { code: 'session_moved' } } })
    expect(typesOf(sent).at(-1)).toBe('input_audio_buffer.cleared')
  })

  it('costs little while nobody talks', () => {
    expect(serialise(drive().state()).length).toBeLessThan(1_500)
  })
})
