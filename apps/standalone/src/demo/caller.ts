import { Ear, toPcm, type CallHandle } from '@trunkline/app-sandbox'

/** Somebody at a telephone: speaks in the sandbox's voice, and understands what is played word by word, as it is played. */
export type Caller = {
  phone: CallHandle
  /** After a breath, as one does when the other has finished. */
  says(text: string): void
  /** At once, over the other's voice. */
  interrupts(text: string): void
  /** After a breath. */
  hangsUp(): Promise<void>
  /** Resolves when words that fit were played since the caller last spoke. */
  hears(what: RegExp): Promise<void>
}

const WAIT_MS = 30_000
/** The sandbox's voices spell with tones; a little quicker than usual they still are understood. */
const SPEED = 1.5
const BREATH_MS = 500

export function callerAt(phone: CallHandle): Caller {
  let words = ''
  const listeners = new Set<() => void>()
  const ear = new Ear(phone.format.sampleRateHz, ({ text }) => {
    words += ` ${text ?? '?'}`
    for (const listener of listeners) listener()
  })
  phone.onHear((frame) => ear.push(toPcm(frame, phone.format)))
  const speak = (text: string) => {
    words = ''
    phone.say({ text, speed: SPEED })
  }
  return {
    phone,
    says(text) {
      phone.say({ silence_ms: BREATH_MS })
      speak(text)
    },
    interrupts: speak,
    async hangsUp() {
      const from = phone.moments().filter(({ kind }) => kind === 'person.silent').length
      phone.say({ silence_ms: BREATH_MS })
      await phone.waitFor('person.silent', { from })
      phone.hangUp()
    },
    hears: (what) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          clearTimeout(timer)
          listeners.delete(check)
          settle()
        }
        const check = () => what.test(words) && end(resolve)
        const timer = setTimeout(() => end(() => reject(new Error(`The caller waited ${WAIT_MS / 1_000} s for ${what} and heard:${words || ' nothing'}`))), WAIT_MS)
        listeners.add(check)
        check()
      }),
  }
}
