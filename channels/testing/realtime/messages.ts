/** A valid message of every kind, for tests that break them. */
const text = (value: string) => [{ type: 'input_text', text: value }]
const user = (value: string) => ({ type: 'message', role: 'user', content: text(value) })
const sound = Buffer.alloc(4_800).toString('base64')

export const CLIENT_SAMPLES: object[] = [
  {
    event_id: 'evt_1',
    type: 'session.update',
    session: {
      type: 'realtime',
      instructions: 'Be brief.',
      output_modalities: ['text'],
      tools: [
        {
          type: 'function',
          name: 'look_up',
          description: 'Looks up.',
          parameters: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
        },
      ],
      tool_choice: { type: 'function', name: 'look_up' },
      max_output_tokens: 100,
      parallel_tool_calls: false,
      reasoning: { effort: 'low' },
      prompt: { id: 'pmpt_1', version: '2', variables: { name: 'Ada' } },
      tracing: { group_id: 'g', workflow_name: 'w', metadata: { a: 1 } },
      truncation: { type: 'retention_ratio', retention_ratio: 0.8, token_limits: { post_instructions: 1_000 } },
      include: ['item.input_audio_transcription.logprobs'],
      audio: {
        input: {
          format: { type: 'audio/pcmu' },
          transcription: { model: 'whisper-1', language: 'en', prompt: 'names', keywords: ['Ada'] },
          noise_reduction: { type: 'near_field' },
          turn_detection: {
            type: 'server_vad',
            threshold: 0.6,
            prefix_padding_ms: 200,
            silence_duration_ms: 400,
            idle_timeout_ms: 6_000,
            create_response: true,
            interrupt_response: false,
          },
        },
        output: { format: { type: 'audio/pcm', rate: 24_000 }, voice: 'verse', speed: 1.25 },
      },
    },
  },
  {
    event_id: 'evt_2',
    type: 'session.update',
    session: { type: 'realtime', audio: { input: { turn_detection: { type: 'semantic_vad', eagerness: 'high' } }, output: { voice: { id: 'voice_1' } } } },
  },
  {
    event_id: 'evt_3',
    type: 'session.update',
    session: {
      type: 'realtime',
      instructions: '',
      tools: [],
      tracing: null,
      audio: { input: { turn_detection: null, transcription: null, noise_reduction: null } },
    },
  },
  { event_id: 'evt_4', type: 'input_audio_buffer.append', audio: sound },
  { event_id: 'evt_5', type: 'input_audio_buffer.commit' },
  { event_id: 'evt_6', type: 'input_audio_buffer.clear' },
  { event_id: 'evt_7', type: 'output_audio_buffer.clear' },
  { event_id: 'evt_8', type: 'conversation.item.create', previous_item_id: 'root', item: { id: 'item_first', ...user('Hello') } },
  { event_id: 'evt_9', type: 'conversation.item.create', item: { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi' }] } },
  {
    event_id: 'evt_10',
    type: 'conversation.item.create',
    item: {
      type: 'message',
      role: 'user',
      content: [
        { type: 'input_audio', audio: sound, transcript: null },
        { type: 'input_image', image_url: 'data:image/png;base64,AAAA', detail: 'low' },
      ],
    },
  },
  { event_id: 'evt_11', type: 'conversation.item.create', item: { type: 'function_call', call_id: 'call_1', name: 'look_up', arguments: '{"id":"1"}' } },
  { event_id: 'evt_12', type: 'conversation.item.create', item: { type: 'function_call_output', call_id: 'call_1', output: 'found' } },
  { event_id: 'evt_13', type: 'conversation.item.retrieve', item_id: 'item_first' },
  { event_id: 'evt_14', type: 'conversation.item.delete', item_id: 'item_first' },
  { event_id: 'evt_15', type: 'conversation.item.truncate', item_id: 'item_first', content_index: 0, audio_end_ms: 100 },
  { event_id: 'evt_16', type: 'response.create' },
  {
    event_id: 'evt_17',
    type: 'response.create',
    response: {
      conversation: 'none',
      input: [user('Say so.'), { type: 'item_reference', id: 'item_first' }],
      instructions: 'Classify.',
      output_modalities: ['text'],
      audio: { output: { format: { type: 'audio/pcma' }, voice: 'alloy' } },
      tools: [{ type: 'function', name: 'look_up', parameters: {} }],
      tool_choice: 'required',
      max_output_tokens: 'inf',
      metadata: { topic: 'greeting' },
      reasoning: { effort: 'minimal' },
    },
  },
  { event_id: 'evt_18', type: 'response.cancel', response_id: 'resp_1' },
  { event_id: 'evt_19', type: 'response.cancel' },
]
