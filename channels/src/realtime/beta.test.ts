import { describe, expect, it } from 'vitest'
import { drive, options } from '../../testing/realtime/driver.ts'
import { CLIENT_SAMPLES } from '../../testing/realtime/messages.ts'
import { SERVER_EVENT_TYPES, SERVER_SAMPLES } from '../../testing/realtime/samples.ts'
import { answer, spoken } from '../../testing/realtime/scenes.ts'
import { createRealtimeSession, fromBeta, parseClientEvent, realtimeCodec, serverEvent, toBeta, transcriptionDefaults, type ServerEvent } from './index.ts'

const beta = realtimeCodec(true)
const ga = realtimeCodec(false)
const understood = (event: object) => {
  const parsed = beta.read(JSON.stringify(event))
  return parsed.ok ? parsed.event : parsed.refusal
}

describe('a beta client', () => {
  it('sets its flat session', () => {
    const session = {
      modalities: ['text', 'audio'],
      instructions: 'Be brief.',
      voice: 'verse',
      speed: 1.1,
      input_audio_format: 'g711_ulaw',
      output_audio_format: 'g711_alaw',
      input_audio_transcription: { model: 'whisper-1' },
      input_audio_noise_reduction: { type: 'far_field' },
      turn_detection: { type: 'server_vad', threshold: 0.6 },
      tools: [],
      temperature: 0.7,
      max_response_output_tokens: 'inf',
    }
    expect(understood({ type: 'session.update', session })).toEqual({
      type: 'session.update',
      session: {
        type: 'realtime',
        instructions: 'Be brief.',
        output_modalities: ['audio'],
        tools: [],
        max_output_tokens: 'inf',
        audio: {
          input: {
            format: { type: 'audio/pcmu' },
            transcription: { model: 'whisper-1' },
            noise_reduction: { type: 'far_field' },
            turn_detection: { type: 'server_vad', threshold: 0.6 },
          },
          output: { format: { type: 'audio/pcma' }, voice: 'verse', speed: 1.1 },
        },
      },
    })
  })

  it('sets a transcription session by its old name', () => {
    expect(understood({ type: 'transcription_session.update', session: { input_audio_format: 'pcm16', turn_detection: null } })).toEqual({
      type: 'session.update',
      session: { type: 'transcription', audio: { input: { format: { type: 'audio/pcm', rate: 24_000 }, turn_detection: null } } },
    })
  })

  it('writes our messages as text, and asks for responses in its words', () => {
    expect(
      understood({ type: 'conversation.item.create', item: { type: 'message', role: 'assistant', content: [{ type: 'text', text: 'Hi' }] } }),
    ).toMatchObject({ item: { content: [{ type: 'output_text', text: 'Hi' }] } })
    expect(understood({ type: 'response.create', response: { modalities: ['text'], max_output_tokens: 50, temperature: 0.6, voice: 'alloy' } })).toMatchObject({
      response: { output_modalities: ['text'], max_output_tokens: 50, audio: { output: { voice: 'alloy' } } },
    })
  })

  it('is told of wrong values all the same', () => {
    expect(understood({ type: 'session.update', session: { input_audio_format: 'mp3' } })).toMatchObject({
      code: 'invalid_type',
      param: 'session.audio.input.format',
    })
    expect(understood({ type: 'session.update', session: 7 })).toMatchObject({ code: 'invalid_type', param: 'session' })
    expect(beta.read('{')).toMatchObject({ ok: false, refusal: { code: 'invalid_json' } })
  })

  it('hears the names that it knows, each item once', () => {
    const session = drive()
    const responseId = spoken(session)
    answer(session, responseId)
    session.happen({ type: 'response_finished', responseId })
    const heard = session.events.map(toBeta).filter((event) => event !== null)
    const types = heard.map((event) => event.type)
    expect(types).toEqual([
      'session.created',
      'conversation.created',
      'input_audio_buffer.speech_started',
      'input_audio_buffer.speech_stopped',
      'input_audio_buffer.committed',
      'conversation.item.created',
      'response.created',
      'response.output_item.added',
      'conversation.item.created',
      'response.content_part.added',
      'response.audio_transcript.delta',
      'response.audio.delta',
      'response.audio.done',
      'response.audio_transcript.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.done',
    ])
    expect(heard.at(0)).toMatchObject({
      session: {
        modalities: ['text', 'audio'],
        input_audio_format: 'pcm16',
        voice: 'alloy',
        turn_detection: { type: 'server_vad' },
        max_response_output_tokens: 'inf',
      },
    })
    expect(heard.at(-1)).toMatchObject({
      response: { modalities: ['text', 'audio'], voice: 'alloy', output: [{ content: [{ type: 'audio', transcript: 'Hello there' }] }] },
    })
    expect(JSON.stringify(heard)).not.toMatch(/output_text|output_audio"|output_modalities/)
  })

  it('hears of a transcription session by its old name', () => {
    const { send } = createRealtimeSession(options({ config: transcriptionDefaults('whisper-1') }))
    expect(toBeta(send[0]!)).toMatchObject({
      type: 'transcription_session.created',
      session: { input_audio_format: 'pcm16', input_audio_transcription: { model: 'whisper-1' } },
    })
  })

  it.each(SERVER_EVENT_TYPES)('%s can be said or is left out', (type) => {
    const event: ServerEvent = serverEvent('event_1', type, SERVER_SAMPLES[type])
    const written = beta.write(event)
    expect(written === null).toBe(type === 'conversation.item.done')
    expect(JSON.parse(ga.write(event) ?? '')).toEqual(event)
  })
})

describe('GA', () => {
  it('is left alone by the names that did not change', () => {
    const same = CLIENT_SAMPLES.filter(
      (sample) => !['session.update', 'conversation.item.create', 'response.create'].includes((sample as { type: string }).type),
    )
    for (const sample of same) expect(fromBeta(sample)).toEqual(sample)
    expect(same.length).toBeGreaterThan(5)
    expect(same.every((sample) => parseClientEvent(sample).ok)).toBe(true)
  })
})
