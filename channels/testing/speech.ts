import { Ear, fromPcm, speak, type LineFormat } from '@trunkline/app-sandbox'

/** Words in the sandbox's voice, as bytes of a carrier's wire. */
export function spoken(text: string, encoding: LineFormat['encoding'], sampleRateHz: number): { bytes: Buffer; ms: number } {
  const { pcm } = speak(text, { sampleRateHz })
  return { bytes: fromPcm(pcm, { encoding, sampleRateHz }), ms: (pcm.length / sampleRateHz) * 1_000 }
}

/** What somebody heard, as the sandbox's own recogniser reads it; `?` for sound that is no word. */
export function wordsOf(pcm: Int16Array, sampleRateHz = 8_000): string {
  const words: string[] = []
  const ear = new Ear(sampleRateHz, ({ text }) => words.push(text ?? '?'))
  ear.push(pcm)
  ear.flush()
  return words.join(' ')
}
