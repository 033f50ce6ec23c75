import type { Pcm, SampleRateHz } from '../frame.ts'
import { samplesIn } from './loop.ts'

/** A signal of telephones: tones at once or one after another, and how long each lasts. */
type Step = { hz: readonly number[]; ms: number }
export type SignalName = 'ringback' | 'busy' | 'congestion' | 'trouble'
/** Whose signals: by ISO 3166 country, as a caller there knows them. */
export type SignalRegion = 'us' | 'gb' | 'de' | 'fr'

const tone = (ms: number, ...hz: number[]): Step => ({ hz, ms })
const silence = (ms: number): Step => ({ hz: [], ms })

/** The special information tone of three rising notes is the same everywhere (ITU-T E.180 §7). */
const TROUBLE = [tone(330, 950), tone(330, 1_400), tone(330, 1_800), silence(1_000)]

/** ITU-T E.180, supplement 2 ("Various tones used in national networks"). */
const SIGNALS: Record<SignalRegion, Record<Exclude<SignalName, 'trouble'>, readonly Step[]>> = {
  us: { ringback: [tone(2_000, 440, 480), silence(4_000)], busy: [tone(500, 480, 620), silence(500)], congestion: [tone(250, 480, 620), silence(250)] },
  gb: {
    ringback: [tone(400, 400, 450), silence(200), tone(400, 400, 450), silence(2_000)],
    busy: [tone(375, 400), silence(375)],
    congestion: [tone(400, 400), silence(350), tone(225, 400), silence(525)],
  },
  de: { ringback: [tone(1_000, 425), silence(4_000)], busy: [tone(480, 425), silence(480)], congestion: [tone(240, 425), silence(240)] },
  fr: { ringback: [tone(1_500, 440), silence(3_500)], busy: [tone(500, 440), silence(500)], congestion: [tone(250, 440), silence(250)] },
}

/** North America shares one set. Where we have none the caller hears Germany's, whose 425 Hz is the one that E.180 recommends. */
const REGIONS: Readonly<Record<string, SignalRegion>> = { US: 'us', CA: 'us', PR: 'us', GB: 'gb', IE: 'gb', FR: 'fr' }
export const signalRegion = (country: string | null): SignalRegion => REGIONS[country?.toUpperCase() ?? ''] ?? 'de'

const LEVEL = 8_000
/** Edges rise and fall so long: a jump clicks. */
const EDGE_MS = 4

/** One period, to be repeated. */
export function telephoneSignal(name: SignalName, sampleRateHz: SampleRateHz, region: SignalRegion = 'de'): Pcm {
  const steps = name === 'trouble' ? TROUBLE : SIGNALS[region][name]
  const pcm = new Int16Array(steps.reduce((sum, { ms }) => sum + samplesIn(ms, sampleRateHz), 0))
  let at = 0
  for (const { hz, ms } of steps) {
    const length = samplesIn(ms, sampleRateHz)
    for (const one of hz) addTone(pcm, at, length, one, LEVEL / hz.length, sampleRateHz)
    at += length
  }
  return pcm
}

function addTone(pcm: Pcm, at: number, length: number, hz: number, level: number, sampleRateHz: number): void {
  const edge = samplesIn(EDGE_MS, sampleRateHz)
  for (let n = 0; n < length; n++) pcm[at + n]! += Math.round(level * Math.min(1, n / edge, (length - 1 - n) / edge) * Math.sin((2 * Math.PI * hz * n) / sampleRateHz))
}
