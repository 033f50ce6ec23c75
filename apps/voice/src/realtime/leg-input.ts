import { createEncoder, createResampler, type Encoder, type Pcm, type PlainFormat, type Resampler, type SampleRateHz } from '@trunkline/media'

type Way = { fromHz: SampleRateHz; format: PlainFormat; encoder: Encoder; resampler: Resampler | null }

/** The sound of a call's leg in the words of the protocol: base64 in the format that the session has at the moment. */
export class LegInput {
  #way: Way | null = null

  encode(pcm: Pcm, fromHz: SampleRateHz, format: PlainFormat): string {
    if (this.#way?.fromHz !== fromHz || this.#way.format.encoding !== format.encoding) this.#turn(fromHz, format)
    const { encoder, resampler } = this.#way!
    const bytes = encoder.encode(resampler ? resampler.process(pcm) : pcm)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  }

  close(): void {
    this.#way?.resampler?.close()
    this.#way = null
  }

  #turn(fromHz: SampleRateHz, format: PlainFormat): void {
    this.close()
    this.#way = { fromHz, format, encoder: createEncoder(format), resampler: fromHz === format.sampleRateHz ? null : createResampler({ fromHz, toHz: format.sampleRateHz }) }
  }
}
