import { readPcm16 } from '../codec/pcm16.ts'
import type { Pcm } from '../frame.ts'

/** Sound of 16 bits, little endian, that arrives in pieces of any length: a sample that was cut in two is put together again. */
export class PcmBytes {
  #odd: number | null = null

  push(bytes: Uint8Array): Pcm {
    const all = this.#odd === null ? bytes : Buffer.concat([Uint8Array.of(this.#odd), bytes])
    const even = all.length & ~1
    this.#odd = all.length > even ? all[even]! : null
    const pcm = new Int16Array(even >> 1)
    readPcm16(all.subarray(0, even), pcm, 'little')
    return pcm
  }
}

/** Cuts a stream of bytes at line feeds; the last line may lack one. A line longer than `maxBytes` is nobody's JSON: throws RangeError. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<string> {
  let held: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      yield Buffer.concat([...held, chunk.subarray(from, at)]).toString('utf8')
      held = []
      bytes = 0
      from = at + 1
    }
    held.push(chunk.subarray(from))
    bytes += chunk.length - from
    if (bytes > maxBytes) throw new RangeError(`A line of more than ${maxBytes} bytes`)
  }
  if (bytes > 0) yield Buffer.concat(held).toString('utf8')
}
