import { describe, expect, it } from 'vitest'
import { brokenTexts } from '../../testing/fuzz.ts'
import { drive, errorOf } from '../../testing/realtime/driver.ts'
import { CLIENT_SAMPLES } from '../../testing/realtime/messages.ts'
import { agentsEvents } from '../../testing/realtime/clients.ts'
import { LIMITS, parseClientMessage, REALTIME_ERROR_CODES, restore, serialise } from './index.ts'

const COUNT = Number(process.env.REALTIME_MESSAGES ?? 5_000)
const SEED = Number(process.env.REALTIME_SEED ?? 20_261_121)

const refusal = (message: object | string) => {
  const parsed = parseClientMessage(typeof message === 'string' ? message : JSON.stringify(message))
  return parsed.ok ? 'understood' : { ...parsed.refusal, eventId: parsed.eventId }
}
const update = (session: object, event_id = 'evt') => refusal({ type: 'session.update', event_id, session })
const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })

describe('a message of a client', () => {
  it.each(CLIENT_SAMPLES.map((sample) => [(sample as { type: string }).type, sample]))('%s is understood', (_, sample) => {
    expect(refusal(sample)).toBe('understood')
  })

  it('is understood as @openai/agents-realtime writes it', async () => {
    const { realtimeClientEventSchema } = await agentsEvents()
    const theirs = CLIENT_SAMPLES.filter((sample) => realtimeClientEventSchema.safeParse(sample).success)
    expect(theirs.length).toBeGreaterThan(14)
  })

  it.each([
    ['that is no JSON', '{', { code: 'invalid_json', param: null, eventId: null }],
    ['that is no object', '[]', { code: 'invalid_type', param: null }],
    ['without a type', '{"event_id":"e"}', { code: 'missing_required_parameter', param: 'type', eventId: 'e' }],
    ['of an unknown type', '{"type":"__proto__"}', { code: 'invalid_value', param: 'type' }],
    ['with a type that is no text', '{"type":7}', { code: 'invalid_type', param: 'type' }],
    [
      'without a field',
      { type: 'conversation.item.delete', event_id: 'e' },
      { code: 'missing_required_parameter', param: 'item_id', message: "Missing required parameter: 'item_id'.", eventId: 'e' },
    ],
    ['with a field too many', { type: 'response.cancel', force: true }, { code: 'unknown_parameter', param: 'force', message: "Unknown parameter: 'force'." }],
    ['with an event_id that is no text', { type: 'response.cancel', event_id: 7 }, { code: 'invalid_type', param: 'event_id', eventId: null }],
    [
      'of a user whose text is missing',
      { type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text' }] } },
      { code: 'missing_required_parameter', param: 'item.content[0].text' },
    ],
    ['of nobody', { type: 'conversation.item.create', item: { type: 'message', role: 'robot', content: [] } }, { code: 'invalid_value', param: 'item.role' }],
    [
      'with a picture from elsewhere',
      { type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_image', image_url: 'https://example.com/a.png' }] } },
      { code: 'invalid_value', param: 'item.content[0].image_url' },
    ],
    [
      'with too many pairs of metadata',
      { type: 'response.create', response: { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) } },
      { code: 'invalid_value', param: 'response.metadata' },
    ],
    [
      'with audio above 15 MiB',
      { type: 'input_audio_buffer.append', audio: Buffer.alloc(LIMITS.audioBytes + 3).toString('base64') },
      { code: 'string_above_max_length', param: 'audio' },
    ],
  ] as const)('%s is refused with what and where', (_, message, expected) => {
    expect(refusal(message)).toMatchObject(expected)
  })

  it.each([
    ['no type', {}, { code: 'missing_required_parameter', param: 'session.type' }],
    [
      'another rate',
      { type: 'realtime', audio: { input: { format: { type: 'audio/pcm', rate: 16_000 } } } },
      { code: 'invalid_value', param: 'session.audio.input.format.rate' },
    ],
    [
      'an unknown format',
      { type: 'realtime', audio: { output: { format: { type: 'audio/opus' } } } },
      { code: 'invalid_value', param: 'session.audio.output.format.type' },
    ],
    ['text and audio at once', { type: 'realtime', output_modalities: ['text', 'audio'] }, { code: 'invalid_value', param: 'session.output_modalities' }],
    ['a speed out of range', { type: 'realtime', audio: { output: { speed: 2 } } }, { code: 'decimal_above_max_value', param: 'session.audio.output.speed' }],
    ['too many tokens', { type: 'realtime', max_output_tokens: 4_097 }, { code: 'integer_above_max_value', param: 'session.max_output_tokens' }],
    ['beta fields', { type: 'realtime', modalities: ['text'] }, { code: 'unknown_parameter', param: 'session.modalities' }],
    [
      'a field too many, deep inside',
      { type: 'realtime', tools: [{ type: 'function', name: 'f', meta: 1 }] },
      { code: 'unknown_parameter', param: 'session.tools[0].meta' },
    ],
    ['a tool with an odd name', { type: 'realtime', tools: [{ type: 'function', name: 'a b' }] }, { code: 'invalid_value', param: 'session.tools[0].name' }],
    [
      'the same tool twice',
      {
        type: 'realtime',
        tools: [
          { type: 'function', name: 'f' },
          { type: 'function', name: 'f' },
        ],
      },
      { code: 'invalid_value', param: 'session.tools' },
    ],
    [
      'an MCP tool',
      { type: 'realtime', tools: [{ type: 'mcp', server_label: 'x', server_url: 'https://example.com' }] },
      { code: 'not_supported', param: 'session.tools[0].type' },
    ],
    [
      'parameters that JSON.stringify could not write',
      { type: 'realtime', tools: [{ type: 'function', name: 'f', parameters: nested(40) }] },
      { code: 'invalid_value', param: 'session.tools[0].parameters' },
    ],
    [
      'parameters that are no object',
      { type: 'realtime', tools: [{ type: 'function', name: 'f', parameters: 'x' }] },
      { code: 'invalid_type', param: 'session.tools[0].parameters' },
    ],
    ['text that cannot be stored', { type: 'realtime', instructions: 'a\u0000b' }, { code: 'invalid_value', param: 'session.instructions' }],
    [
      'an idle timeout too short',
      { type: 'realtime', audio: { input: { turn_detection: { type: 'server_vad', idle_timeout_ms: 10 } } } },
      { code: 'integer_below_min_value', param: 'session.audio.input.turn_detection.idle_timeout_ms' },
    ],
  ])('that sets %s is refused', (_, session, expected) => {
    expect(update(session)).toMatchObject({ ...expected, eventId: 'evt' })
  })
})

describe('broken messages', () => {
  it(`get one clear error, or are understood, ${COUNT} times; the session goes on`, () => {
    let session = drive()
    let refused = 0
    let number = 0
    for (const message of brokenTexts(
      CLIENT_SAMPLES.map((sample) => JSON.stringify(sample)),
      SEED,
      COUNT,
    )) {
      number += 1
      const sent = session.client(message)
      const error = errorOf(sent)
      if (error) {
        refused += 1
        expect(REALTIME_ERROR_CODES, message.slice(0, 200)).toContain(error.code)
        expect(error.message.length).toBeGreaterThan(10)
        expect(error.message.length).toBeLessThan(1_000)
      }
      if (!parseClientMessage(message).ok) expect(sent).toHaveLength(1)
      JSON.stringify(sent)
      if (number % 500 === 0) {
        expect(restore(serialise(session.state()))).toEqual(session.state())
        session = drive()
      }
    }
    expect(refused).toBeGreaterThan(COUNT / 3)
  })
})
