import { Ear, speak, startSandbox, type Sandbox } from '@trunkline/app-sandbox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PlayoutClock } from '../playout/clock.ts'
import { deepgramStt } from '../stt/deepgram/index.ts'
import { openaiVoice } from '../tts/openai/index.ts'
import { createEnergyVad } from '../vad/energy.ts'
import { CallPipeline } from './call.ts'
import type { PipelineEvent, Replier, Said } from './contract.ts'

const RATE = 8_000
const FRAME = RATE / 50
const PHRASES = { ask_again: 'Could you say that again?', are_you_there: 'Are you there?', recovery: 'One moment please.', goodbye: 'Goodbye.', filler: 'Let me see.' }

let sandbox: Sandbox
const wheel = new PlayoutClock()
beforeAll(async () => {
  sandbox = await startSandbox({ speechPace: { firstSoundMs: 0, chunkMs: 20 } })
})
afterAll(async () => {
  wheel.close()
  await sandbox.close()
})

/** A caller at a telephone: hears what leaves the wire, and speaks in real time. */
function phone(replier: Replier, greeting: string | null = null) {
  const events: PipelineEvent[] = []
  const waiting = new Set<() => void>()
  const heard: string[] = []
  const ear = new Ear(RATE, (sound) => {
    if (sound.text !== null) heard.push(sound.text)
  })
  let cleared = 0
  const call = new CallPipeline({
    sampleRateHz: RATE, wheel, vad: createEnergyVad(),
    wire: { send: (pcm) => ear.push(pcm.slice()), clear: () => void (cleared += 1) },
    stt: deepgramStt({ apiKey: 'k', baseUrl: `${sandbox.url}/deepgram` }),
    tts: openaiVoice({ apiKey: 'k', baseUrl: `${sandbox.url}/v1` }),
    voice: { id: 'alloy', speed: 1, language: 'en' },
    phrases: PHRASES, greeting, replier,
    onEvent: (event) => {
      events.push(event)
      waiting.forEach((look) => look())
    },
  })
  const queue: Int16Array[] = []
  const silence = new Int16Array(FRAME)
  const speaking = wheel.join({ playSlot: () => (call.frame(queue.shift() ?? silence), 'sent'), onFault: (error) => { throw error } }, { leadMs: 0 })
  speaking.kick()
  return {
    call, events, heard,
    get cleared() { return cleared },
    says(text: string) {
      const { pcm } = speak(text, { sampleRateHz: RATE })
      for (let at = 0; at < pcm.length; at += FRAME) {
        const frame = new Int16Array(FRAME)
        frame.set(pcm.subarray(at, at + FRAME))
        queue.push(frame)
      }
    },
    until: (check: () => boolean) => new Promise<void>((resolve) => {
      const look = () => {
        if (!check()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    }),
    said: (): Said[] => events.flatMap((event) => (event.type === 'said' ? [event.said] : [])),
    hangUp() {
      speaking.leave()
      call.close()
    },
  }
}

describe('a call, with real sockets and real sound', { timeout: 30_000 }, () => {
  it('greets, hears a question, thinks while it listens, answers aloud, and knows what was heard', async () => {
    const asked: string[] = []
    const one = phone(async ({ text, onText }) => {
      asked.push(text)
      for (const word of 'We open at nine in the morning.'.split(/(?<= )/)) onText(word)
      return 'listen'
    }, 'Hello, this is the harbour shop.')
    await one.until(() => one.said().some((said) => said.by === 'agent'))
    one.says('When do you open?')
    await one.until(() => one.said().filter((said) => said.by === 'agent').length === 2)
    expect(one.said().map(({ by, text, interrupted }) => [by, text, interrupted])).toEqual([
      ['agent', 'Hello, this is the harbour shop.', false],
      ['caller', 'When do you open?', false],
      ['agent', 'We open at nine in the morning.', false],
    ])
    expect(new Set(asked)).toEqual(new Set(['When do you open?']))
    expect(one.heard.join(' ')).toContain('nine')
    const times = one.events.find((event) => event.type === 'times')
    expect(times).toMatchObject({ times: { firstTokenMs: expect.any(Number), firstAudioMs: expect.any(Number), firstSentMs: expect.any(Number) } })
    one.hangUp()
  })

  it('falls silent when the caller speaks over it, and keeps for the history only what was heard', async () => {
    const long = 'There are many things to tell about our opening hours and all of them are interesting and long and I could go on for quite a while about every single one of them without end.'
    const one = phone(async ({ onText }) => {
      onText('Of course.')
      return 'listen'
    }, long)
    await one.until(() => one.events.length >= 0)
    await new Promise<void>((resolve) => {
      const look = wheel.join({ playSlot: () => {
        if (one.heard.length > 3) {
          look.leave()
          resolve()
        }
        return 'sent'
      }, onFault: () => {} }, { leadMs: 0 })
      look.kick()
    })
    one.says('Please stop talking now.')
    await one.until(() => one.events.some((event) => event.type === 'interrupted'))
    await one.until(() => one.said().some((said) => said.by === 'agent' && said.text === 'Of course.'))
    const cut = one.said().find((said) => said.interrupted)!
    expect(long.startsWith(cut.text)).toBe(true)
    expect(cut.text.length).toBeLessThan(long.length)
    expect(one.cleared).toBeGreaterThan(0)
    expect(one.said().filter((said) => said.by === 'caller').map((said) => said.text).join(' ')).toContain('stop')
    one.hangUp()
  })

  it('hangs up when the agent has said its last word', async () => {
    const one = phone(async ({ onText }) => {
      onText('Goodbye then.')
      return 'hang_up'
    })
    one.says('That is all, thank you.')
    await one.until(() => one.events.some((event) => event.type === 'ended'))
    expect(one.events.at(-1)).toEqual({ type: 'ended', reason: 'agent' })
    expect(one.said().at(-1)).toMatchObject({ by: 'agent', text: 'Goodbye then.' })
    one.hangUp()
  })
})
