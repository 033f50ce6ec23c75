import type { PipelineEvent } from '@trunkline/media'
import { describe, expect, it } from 'vitest'
import { inCall } from './times.ts'

const said: PipelineEvent = { type: 'said', said: { by: 'caller', turn: 1, text: 'Yes.', startMs: 100, endMs: 300, interrupted: false, confidence: 0.9, words: [{ charStart: 0, charEnd: 3, startMs: 120, endMs: 290, confidence: null, estimated: false }] } }
const times: PipelineEvent = { type: 'times', times: { turn: 2, speechEndMs: 300, endpointMs: 500, firstTokenMs: null, firstAudioMs: 700, firstSentMs: 710, firstHeardMs: 750 } }

describe('times of a call whose sound was away', () => {
  it('go on from where the call was', () => {
    expect(inCall(said, 60_000)).toMatchObject({ said: { text: 'Yes.', startMs: 60_100, endMs: 60_300, words: [{ startMs: 60_120, endMs: 60_290 }] } })
    expect(inCall({ type: 'interrupted', turn: 1, atMs: 5 }, 60_000)).toEqual({ type: 'interrupted', turn: 1, atMs: 60_005 })
    expect(inCall(times, 60_000)).toEqual({ type: 'times', times: { turn: 2, speechEndMs: 60_300, endpointMs: 60_500, firstTokenMs: null, firstAudioMs: 60_700, firstSentMs: 60_710, firstHeardMs: 60_750 } })
  })

  it('are left alone in its first pipeline, and where there are none', () => {
    expect(inCall(said, 0)).toBe(said)
    const ended: PipelineEvent = { type: 'ended', reason: 'agent' }
    expect(inCall(ended, 60_000)).toBe(ended)
  })
})
