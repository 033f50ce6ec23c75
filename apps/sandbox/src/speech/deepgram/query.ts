import { fromAlaw, fromLinear16, fromMulaw } from '../sound.ts'

export type ListenQuery = {
  model: string
  language: string | null
  encoding: 'linear16' | 'mulaw' | 'alaw'
  sampleRateHz: number
  interim: boolean
  /** null: never by itself. */
  endpointingMs: number | null
  utteranceEndMs: number | null
  vadEvents: boolean
  punctuate: boolean
  keyterms: string[]
}

export const decoders = { linear16: fromLinear16, mulaw: fromMulaw, alaw: fromAlaw }

type Raw = Record<string, string | string[] | undefined>
const first = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)
const isOn = (value: string | undefined): boolean => value === 'true'

/** The parameters of `wss /v1/listen` that the sandbox plays, or what Deepgram says about them. Others are passed over, as there. */
export function readQuery(raw: Raw): ListenQuery | { error: string } {
  const [encoding, rate] = [first(raw.encoding), Number(first(raw.sample_rate))]
  if (encoding !== 'linear16' && encoding !== 'mulaw' && encoding !== 'alaw') return { error: `Invalid query string. The sandbox reads encoding=linear16, mulaw and alaw${encoding === undefined ? ', and none was given' : ''}.` }
  if (!Number.isInteger(rate) || rate < 4_000 || rate > 96_000) return { error: 'Invalid query string. sample_rate is required with an encoding and must be between 4000 and 96000.' }
  if ((first(raw.channels) ?? '1') !== '1') return { error: 'Invalid query string. The sandbox hears one channel.' }
  const utteranceEnd = first(raw.utterance_end_ms)
  if (utteranceEnd !== undefined && !(Number(utteranceEnd) >= 1_000)) return { error: 'Invalid query string. utterance_end_ms must be at least 1000.' }
  if (utteranceEnd !== undefined && !isOn(first(raw.interim_results))) return { error: 'Invalid query string. utterance_end_ms requires interim_results=true.' }
  const endpointing = first(raw.endpointing)
  if (endpointing !== undefined && endpointing !== 'true' && endpointing !== 'false' && !(Number(endpointing) >= 0)) return { error: 'Invalid query string. endpointing must be a number of milliseconds, true or false.' }
  return {
    model: first(raw.model) ?? 'base',
    language: first(raw.language) ?? null,
    encoding,
    sampleRateHz: rate,
    interim: isOn(first(raw.interim_results)),
    // 10 ms is the documented default.
    endpointingMs: endpointing === 'false' ? null : endpointing === undefined || endpointing === 'true' ? 10 : Number(endpointing),
    utteranceEndMs: utteranceEnd === undefined ? null : Number(utteranceEnd),
    vadEvents: isOn(first(raw.vad_events)),
    punctuate: isOn(first(raw.punctuate)) || isOn(first(raw.smart_format)),
    keyterms: [raw.keyterm ?? []].flat(),
  }
}
