import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { spawnNode } from './processes.ts'

const FRAME_MS = 20
/** What a player sends ahead at the beginning of a run has no moment of its own; a carrier has so much to play when nothing comes. */
const [AHEAD_FRAMES, AHEAD_MS] = [10, 160]
/** How much later than its own before, or than a metronome now, somebody may be: one frame. */
const ALLOWED_MS = FRAME_MS

/** When frames of one run came. */
export class Beats {
  readonly #atMs: number[] = []

  note(atMs: number, frames = 1): void {
    for (let frame = 0; frame < frames; frame++) this.#atMs.push(atMs)
  }

  get count(): number {
    return this.#atMs.length
  }

  /**
   * How late those frames were that came within these times: the latest, and the latest but one in a hundred. Moments are 20 ms apart,
   * counted from the most punctual frame of all.
   */
  late(fromMs: number, toMs: number): { p99Ms: number; maxMs: number } {
    const offsets = this.#atMs.map((atMs, frame) => ({ atMs, offset: atMs - frame * FRAME_MS })).slice(AHEAD_FRAMES)
    const punctual = offsets.reduce((least, { offset }) => Math.min(least, offset), Infinity)
    const late = offsets.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs).map(({ offset }) => offset - punctual).toSorted((a, b) => a - b)
    if (late.length === 0) throw new Error(`Nothing came between ${Math.round(fromMs)} and ${Math.round(toMs)} ms.`)
    return { p99Ms: late[Math.min(late.length - 1, Math.floor(late.length * 0.99))]!, maxMs: late.at(-1)! }
  }
}

/** A metronome in a process of its own: as noisy as the machine is, and no more. */
export async function startMetronome(): Promise<{ beats: Beats; stop(): Promise<void> }> {
  const beats = new Beats()
  const server = createServer((socket) => socket.on('data', (bytes) => beats.note(performance.now(), bytes.length)).on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const node = spawnNode(fileURLToPath(new URL('./metronome.ts', import.meta.url)), {}, [String((server.address() as AddressInfo).port)])
  const [socket] = (await once(server, 'connection')) as [Socket]
  await once(socket, 'data')
  return {
    beats,
    async stop() {
      await node.stop()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export type Span = { fromMs: number; /** When it happened. */ atMs: number; toMs: number }
/** `jitterMs`: by how much frames came later after it happened than before it and than a metronome's meanwhile, beyond what one frame explains. `holeMs`: how much longer somebody waited for sound than what was sent ahead lasts, and than the machine itself stood still, beyond the same. */
export type Unsteadiness = { jitterMs: number; holeMs: number }
export const STEADY: Unsteadiness = { jitterMs: 0, holeMs: 0 }

export function unsteadiness(beats: Beats, metronome: Beats, { fromMs, atMs, toMs }: Span): Unsteadiness {
  const [before, after, machine] = [beats.late(fromMs, atMs), beats.late(atMs, toMs), metronome.late(atMs, toMs)]
  return {
    jitterMs: Math.max(0, Math.round(after.p99Ms - Math.max(before.p99Ms, machine.p99Ms) - ALLOWED_MS)),
    holeMs: Math.max(0, Math.round(after.maxMs - Math.max(AHEAD_MS, machine.maxMs) - ALLOWED_MS)),
  }
}

/** Null: `heard` is the beginning of `whole`, byte by byte: nothing of it was lost, doubled, or said otherwise. Else where it is not. */
export function differsAt(heard: Buffer, whole: Buffer, frameBytes = 160): string | null {
  if (heard.length > whole.length) return `${heard.length} bytes, of ${whole.length} that there are`
  if (heard.equals(whole.subarray(0, heard.length))) return null
  const at = heard.findIndex((byte, index) => byte !== whole[index])
  return `frame ${Math.floor(at / frameBytes)} of ${Math.floor(heard.length / frameBytes)}`
}
