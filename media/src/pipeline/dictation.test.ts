import { speak, startSandbox, type Sandbox } from '@trunkline/app-sandbox'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { frameSamples, type Pcm, type SampleRateHz } from '../frame.ts'
import type { SpeechUsage } from '../stt/contract.ts'
import { deepgramStt } from '../stt/deepgram/index.ts'
import { createEnergyVad } from '../vad/energy.ts'
import { Dictation } from './dictation.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({})
})
afterAll(() => sandbox.close())

function listener(sampleRateHz: SampleRateHz = 8_000, path = '/deepgram') {
  const texts: string[] = []
  const usages: SpeechUsage[] = []
  const failures: string[] = []
  const dictation = new Dictation({
    sampleRateHz, vad: createEnergyVad(), language: 'en',
    stt: deepgramStt({ apiKey: 'k', baseUrl: `${sandbox.url}${path}` }, { onUsage: (usage) => usages.push(usage), deadlines: { openMs: 1_000 } }),
    onText: (text) => texts.push(text),
    onFailure: ({ code }) => failures.push(code),
  })
  const size = frameSamples(sampleRateHz)
  const push = (pcm: Pcm): void => {
    for (let at = 0; at < pcm.length; at += size) {
      const frame = new Int16Array(size)
      frame.set(pcm.subarray(at, at + size))
      dictation.frame(frame)
    }
  }
  return {
    dictation, texts, usages, failures,
    says: (text: string) => push(speak(text, { sampleRateHz }).pcm),
    isSilent: (ms: number) => push(new Int16Array((sampleRateHz / 1_000) * ms)),
  }
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 20 })

describe('dictation, with a real socket and real sound', { timeout: 20_000 }, () => {
  it.each([8_000, 16_000, 48_000] as const)('makes a text of each thing that is said (%i Hz), in order, and pays for speech alone', async (rateHz) => {
    const { says, isSilent, texts, usages, dictation } = listener(rateHz)
    isSilent(5_000)
    says('Offer her the loan bike.')
    isSilent(5_000)
    says('And be kind.')
    isSilent(5_000)
    await eventually(() => expect(texts).toEqual(['Offer her the loan bike.', 'And be kind.']))
    await eventually(() => expect(usages).toHaveLength(2))
    const spokenMs = ['Offer her the loan bike.', 'And be kind.'].map((text) => speak(text, { sampleRateHz: rateHz }).durationMs)
    for (const [n, { audioMs, outcome }] of usages.toSorted((one, other) => other.audioMs - one.audioMs).entries()) {
      expect(outcome).toBe('ok')
      expect(audioMs).toBeLessThan(spokenMs.toSorted((one, other) => other - one)[n]! + 2_500)
    }
    dictation.close()
  })

  it('asks nobody while nobody speaks', () => {
    const { isSilent, usages, dictation } = listener()
    isSilent(20_000)
    dictation.close()
    expect(usages).toEqual([])
  })

  it('hears out what was begun when it ends', async () => {
    const { says, isSilent, texts, dictation } = listener()
    isSilent(1_000)
    says('Close at seven.')
    dictation.end()
    await eventually(() => expect(texts).toEqual(['Close at seven.']))
  })

  it('tells nothing after it was closed, and the sound that was heard is paid', async () => {
    const { says, isSilent, texts, usages, dictation } = listener()
    isSilent(1_000)
    says('Close at seven.')
    dictation.close()
    expect(usages).toMatchObject([{ outcome: 'aborted' }])
    says('More.')
    await new Promise(setImmediate)
    expect([texts, usages.length]).toEqual([[], 1])
  })

  it('a recogniser that fails is told once for each thing that was said to it', async () => {
    const { says, isSilent, texts, failures, dictation } = listener(8_000, '/nowhere')
    isSilent(1_000)
    says('Close at seven.')
    isSilent(1_500)
    await eventually(() => expect(failures).toHaveLength(1))
    expect(texts).toEqual([])
    dictation.close()
  })
})
