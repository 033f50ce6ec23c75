/** The process around FAAD2 (GPL-2.0, an optional package): one file, from standard input to standard output. It ends with its input. */
import { headerOf, MISSING_EXIT, piece, pieces } from './protocol.ts'

type Decoded = { channelData: Float32Array[]; sampleRate: number }
type Decoder = { decode(packet: Uint8Array): Decoded; free(): void }

/** A packet is some 20 ms of sound: so many of them are told at once. */
const TOLD_FRAMES = 48_000

async function open(asc: Uint8Array): Promise<Decoder> {
  const name: string = '@audio/decode-aac'
  const loaded = (await import(name).catch(() => process.exit(MISSING_EXIT))) as { decoder: (options?: { asc: Uint8Array }) => Promise<Decoder> }
  return loaded.decoder(asc.length > 0 ? { asc } : undefined)
}

const framesOf = ({ channelData }: Decoded): number => channelData[0]?.length ?? 0
const isLike = (a: Decoded, b: Decoded): boolean => a.sampleRate === b.sampleRate && a.channelData.length === b.channelData.length

let waiting: Decoded[] = []
let frames = 0

async function tell(): Promise<void> {
  const [first] = waiting
  if (!first) return
  const planes = first.channelData.flatMap((_, channel) => waiting.map(({ channelData }) => channelData[channel]!)).map((plane) => Buffer.from(plane.buffer, plane.byteOffset, plane.byteLength))
  const more = process.stdout.write(piece(Buffer.concat([headerOf({ sampleRateHz: first.sampleRate, channels: first.channelData.length, frames }), ...planes])))
  waiting = []
  frames = 0
  if (!more) await new Promise((resolve) => process.stdout.once('drain', resolve))
}

async function heard(decoded: Decoded): Promise<void> {
  if (framesOf(decoded) === 0) return
  if (waiting[0] && !isLike(waiting[0], decoded)) await tell()
  waiting.push(decoded)
  frames += framesOf(decoded)
  if (frames >= TOLD_FRAMES) await tell()
}

let decoder: Decoder | null = null
for await (const packet of pieces(process.stdin)) {
  if (decoder === null) decoder = await open(packet)
  else await heard(decoder.decode(packet))
}
await tell()
decoder?.free()
