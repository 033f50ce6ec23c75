import type { z } from 'zod'
import { describe, expect, it } from 'vitest'
import { agentsEvents, openaiFields, typesKnownTo } from '../../testing/realtime/clients.ts'
import { SERVER_EVENT_TYPES, SERVER_SAMPLES } from '../../testing/realtime/samples.ts'
import { CLIENT_EVENTS, isClientEventType, SERVER_EVENTS, serverEvent } from './index.ts'
import { realtimeDefaults, RealtimeConfig, transcriptionDefaults, TranscriptionConfig } from './wire.ts'

const documented = openaiFields()
const { realtimeServerEventSchema } = await agentsEvents()
const knownToAgents = typesKnownTo(realtimeServerEventSchema)
const keysOf = (schema: z.ZodObject): string[] => Object.keys(schema.shape).toSorted()

describe('server events', () => {
  it('are the 46 of the GA protocol, as the openai package declares them', () => {
    expect(SERVER_EVENT_TYPES).toHaveLength(46)
    expect(SERVER_EVENT_TYPES.filter((type) => !documented.has(type))).toEqual([])
    expect(Object.keys(SERVER_EVENTS).toSorted()).toEqual(SERVER_EVENT_TYPES.toSorted())
  })

  it.each(SERVER_EVENT_TYPES)('%s has every field that the openai package declares, and no other', (type) => {
    const fields = new Set([...(documented.get(type) ?? []), 'event_id'])
    expect(keysOf(SERVER_EVENTS[type] as z.ZodObject)).toEqual([...fields].toSorted())
  })

  it.each(SERVER_EVENT_TYPES)('%s, built, is complete', (type) => {
    const event = serverEvent('event_1', type, SERVER_SAMPLES[type])
    expect(SERVER_EVENTS[type].safeParse(event).error).toBeUndefined()
    expect(JSON.parse(JSON.stringify(event))).toEqual(event)
  })

  it.each(SERVER_EVENT_TYPES.filter((type) => knownToAgents.has(type)))('%s is accepted by @openai/agents-realtime', (type) => {
    expect(realtimeServerEventSchema.safeParse(serverEvent('event_1', type, SERVER_SAMPLES[type])).error).toBeUndefined()
  })

  it('are known to @openai/agents-realtime except for a few, which it passes on unread', () => {
    expect(SERVER_EVENT_TYPES.filter((type) => !knownToAgents.has(type))).toEqual([
      'conversation.item.created',
      'conversation.item.input_audio_transcription.segment',
      'input_audio_buffer.timeout_triggered',
      'input_audio_buffer.dtmf_event_received',
      'response.mcp_call.failed',
    ])
  })
})

describe('client events', () => {
  const types = Object.keys(CLIENT_EVENTS).filter((type) => isClientEventType(type))

  it('are the eleven of the GA protocol', () => {
    expect(types).toHaveLength(11)
  })

  it.each(types)('%s has every field that the openai package declares, and no other', (type) => {
    expect(keysOf(CLIENT_EVENTS[type])).toEqual([...(documented.get(type) ?? [])].toSorted())
  })
})

describe('default configurations', () => {
  it('of a conversation is whole', () => {
    const config = realtimeDefaults({ model: 'm', voice: 'alloy' })
    expect(RealtimeConfig.parse(config)).toEqual(config)
    expect(config.audio.input.turn_detection).toEqual({
      type: 'server_vad',
      threshold: 0.5,
      prefix_padding_ms: 300,
      silence_duration_ms: 500,
      idle_timeout_ms: null,
      create_response: true,
      interrupt_response: true,
    })
  })

  it('of a transcription names the model that listens', () => {
    const config = transcriptionDefaults('whisper-1')
    expect(TranscriptionConfig.parse(config)).toEqual(config)
    expect(config.audio.input.transcription).toMatchObject({ model: 'whisper-1', language: null })
  })
})
