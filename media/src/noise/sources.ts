/** One sample a call, of any level. */
export type Source = () => number

/** The sum of four evenly spread numbers is near enough to a bell curve for an ear. */
const bell = (random: () => number): number => random() + random() + random() + random() - 2

/** A bad line: all frequencies alike. */
export const white = (random: () => number): Source => () => bell(random)

const RUMBLE_HZ = 250
const HISS_SHARE = 0.12
const PASSING_SECONDS = 7

/** Traffic: a rumble that comes and goes as cars pass, with the hiss of tyres over it. */
export function street(random: () => number, sampleRateHz: number): Source {
  const follow = 1 - Math.exp((-2 * Math.PI * RUMBLE_HZ) / sampleRateHz)
  const phase = random() * 2 * Math.PI
  let [rumble, sample] = [0, 0]
  return () => {
    rumble += follow * (bell(random) - rumble)
    const passing = 0.55 + 0.45 * Math.sin(phase + (2 * Math.PI * sample++) / (PASSING_SECONDS * sampleRateHz))
    return rumble * (0.4 + passing) + HISS_SHARE * passing * bell(random)
  }
}

const VOICES = 6
const HARMONICS = 8
const SYLLABLES_HZ = 4

/** A room full of people: harmonics of several pitches, each in the rhythm of syllables of its own. */
export function babble(random: () => number, sampleRateHz: number): Source {
  const voices = Array.from({ length: VOICES }, () => voice(random, sampleRateHz))
  return () => voices.reduce((sum, next) => sum + next(), 0)
}

function voice(random: () => number, sampleRateHz: number): Source {
  const pitchHz = 90 + 150 * random()
  const rhythmHz = SYLLABLES_HZ * (0.7 + 0.6 * random())
  const [phase, drift] = [random() * 2 * Math.PI, 0.2 + random()]
  let [turn, sample] = [0, 0]
  return () => {
    const seconds = sample++ / sampleRateHz
    turn += (2 * Math.PI * pitchHz * (1 + 0.08 * Math.sin(2 * Math.PI * drift * seconds + phase))) / sampleRateHz
    const loud = Math.max(0, Math.sin(2 * Math.PI * rhythmHz * seconds + phase)) * Math.max(0, 0.4 + Math.sin(0.9 * drift * seconds + 2 * phase))
    if (loud === 0) return 0
    let sound = 0
    for (let harmonic = 1; harmonic <= HARMONICS; harmonic++) sound += Math.sin(turn * harmonic) / harmonic
    return loud * sound
  }
}
