import { z } from 'zod'
import type { SttOptions } from '../contract.ts'
import type { Final, Transcript } from '../part.ts'

const Word = z.object({ word: z.string(), start: z.number(), end: z.number(), confidence: z.number().optional(), punctuated_word: z.string().optional() })
const Alternative = z.object({ transcript: z.string(), confidence: z.number().optional(), languages: z.array(z.string()).optional(), words: z.array(Word).default([]) })
const Channel = z.object({ alternatives: z.array(Alternative).min(1) })

/** Messages of the socket (developers.deepgram.com/reference/speech-to-text/listen-streaming). Fields that we do not read are passed over. */
export const Message = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('Results'), start: z.number(), duration: z.number(), is_final: z.boolean().default(false), speech_final: z.boolean().default(false),
    from_finalize: z.boolean().default(false), channel: Channel, metadata: z.object({ request_id: z.string().optional() }).optional(),
  }),
  z.object({ type: z.literal('Metadata'), request_id: z.string().optional() }),
  z.object({ type: z.literal('SpeechStarted') }),
  z.object({ type: z.literal('UtteranceEnd') }),
])
export type Results = Extract<z.infer<typeof Message>, { type: 'Results' }>

const Recording = z.object({ metadata: z.object({ request_id: z.string().optional() }).optional(), results: z.object({ channels: z.array(Channel.extend({ detected_language: z.string().optional() })).min(1) }) })

export type Tuning = {
  model: string
  /** Silence after which Deepgram itself holds the speaker for done; null: never. */
  endpointingMs: number | null
  /** Numbers, addresses and times as one writes them. */
  smartFormat: boolean
}

/** Parameters that the socket and the recording share. `multi` is Nova's way to find the language out. */
function shared({ model, smartFormat }: Tuning, { language, keyterms }: SttOptions): URLSearchParams {
  const query = new URLSearchParams({ model, punctuate: 'true', smart_format: String(smartFormat), language: language ?? 'multi' })
  // nova-3 and flux know key terms, their elders key words (docs, "keyterm").
  for (const term of keyterms) query.append(/^nova-[12]|^(?:enhanced|base)/.test(model) ? 'keywords' : 'keyterm', term)
  return query
}

export function listenQuery(tuning: Tuning, options: SttOptions, encoding: 'linear16' | 'mulaw'): string {
  const query = shared(tuning, options)
  for (const [name, value] of [['encoding', encoding], ['sample_rate', String(options.sampleRateHz)], ['channels', '1'], ['interim_results', 'true'], ['endpointing', String(tuning.endpointingMs ?? false)]]) query.set(name!, value!)
  return query.toString()
}

export const recordingQuery = (tuning: Tuning, options: SttOptions): string => shared(tuning, options).toString()

const wordsOf = (words: z.infer<typeof Word>[]) => words.map(({ word, punctuated_word, start, end, confidence }) => ({ text: punctuated_word ?? word, startMs: start * 1_000, endMs: end * 1_000, confidence: confidence ?? null }))

export function finalOf({ channel, start, duration, speech_final, from_finalize }: Results, asked: string | null): Final {
  const { transcript, confidence, words, languages } = channel.alternatives[0]!
  return {
    text: transcript.trim(), confidence: confidence ?? null, words: wordsOf(words), language: languages?.[0] ?? asked,
    startMs: start * 1_000, endMs: (start + duration) * 1_000,
    // What we asked for by Finalize says nothing about the speaker.
    endOfTurn: speech_final && !from_finalize,
  }
}

/** null: no answer of Deepgram's. */
export function transcriptOf(body: unknown, asked: string | null): Transcript | null {
  const { data } = Recording.safeParse(body)
  const channel = data?.results.channels[0]
  const best = channel?.alternatives[0]
  if (!best) return null
  return { text: best.transcript.trim(), words: wordsOf(best.words), language: channel?.detected_language ?? best.languages?.[0] ?? asked, confidence: best.confidence ?? null, requestId: data?.metadata?.request_id ?? null }
}
