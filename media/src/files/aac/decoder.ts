import { on } from 'node:events'
import type { MessagePort } from 'node:worker_threads'
import { EncodedPacketSink, type InputAudioTrack } from 'mediabunny'
import { SoundFileError, type Planes } from '../contract.ts'
import type { FromFaad, ToFaad } from './faad.ts'
import { HEADER_BYTES, MISSING_EXIT, piece, pieces, readHeader } from './protocol.ts'

/** A packet is a few hundred bytes: so much of them goes at once. */
const FED_BYTES = 64 * 1024

/** The way to a process that decodes (`startFaad`), from the thread that was asked for a file. */
export type OpenFaad = () => MessagePort

/** AAC in MP4 or ADTS, by FAAD2 in a process of its own (GPL-2.0, optional). Throws SoundFileError `unsupported` where the package is not installed. */
export async function* aac(track: InputAudioTrack, openFaad: OpenFaad): AsyncGenerator<Planes> {
  const port = openFaad()
  try {
    const answers = answersOf(port)
    // It is a file of 25 MB at most: its packets wait in the pipe.
    await feed(track, (said) => port.postMessage(said))
    for await (const bytes of pieces(answers.sound())) yield planesOf(bytes)
    const exitCode = answers.exitCode()
    if (exitCode === MISSING_EXIT) throw new SoundFileError('unsupported', 'there is no decoder here for AAC: its optional package is not installed (npm install --include=optional)')
    if (exitCode !== 0) throw new SoundFileError('unreadable', 'its AAC is damaged')
  } finally {
    port.close()
  }
}

async function feed(track: InputAudioTrack, say: (said: ToFaad) => void): Promise<void> {
  const { description } = (await track.getDecoderConfig()) ?? {}
  let waiting = [piece(description === undefined ? new Uint8Array(0) : ArrayBuffer.isView(description) ? new Uint8Array(description.buffer, description.byteOffset, description.byteLength) : new Uint8Array(description))]
  let bytes = 0
  for await (const { data } of new EncodedPacketSink(track).packets()) {
    waiting.push(piece(data))
    bytes += data.length
    if (bytes < FED_BYTES) continue
    say(Buffer.concat(waiting))
    waiting = []
    bytes = 0
  }
  say(Buffer.concat(waiting))
  say('end')
}

function answersOf(port: MessagePort) {
  const told = on(port, 'message') as AsyncIterableIterator<[FromFaad]>
  let code: number | null = null
  return {
    async *sound(): AsyncGenerator<Uint8Array> {
      for await (const [said] of told) {
        if ('exitCode' in said) {
          code = said.exitCode
          return
        }
        yield said
        port.postMessage('more' satisfies ToFaad)
      }
    },
    exitCode: () => code,
  }
}

function planesOf(bytes: Buffer): Planes {
  const { sampleRateHz, channels, frames } = readHeader(bytes)
  // In memory of its own: floats lie at multiples of four there.
  const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset + HEADER_BYTES, bytes.byteOffset + bytes.length) as ArrayBuffer)
  return { sampleRateHz, channels: Array.from({ length: channels }, (_, channel) => floats.subarray(channel * frames, (channel + 1) * frames)) }
}
