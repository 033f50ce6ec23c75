import type { Outlet } from './outlet.ts'

/** Servers of the tenant that follow one call. */
const ASIDES_MAX = 3

/** The sideband sockets of a call: they see what its client sees. One that does not read is closed, and the call goes on. */
export class Asides {
  readonly #outlets = new Set<Outlet>()
  readonly #bufferedBytesMax: number

  constructor(bufferedBytesMax: number) {
    this.#bufferedBytesMax = bufferedBytesMax
  }

  get full(): boolean {
    return this.#outlets.size >= ASIDES_MAX
  }

  add(outlet: Outlet): void {
    this.#outlets.add(outlet)
  }

  delete(outlet: Outlet): void {
    this.#outlets.delete(outlet)
  }

  send(text: string): void {
    for (const outlet of this.#outlets) {
      outlet.send(text)
      if (outlet.waitingBytes <= this.#bufferedBytesMax) continue
      this.#outlets.delete(outlet)
      outlet.close(1013, 'too slow')
    }
  }

  close(code: number, reason: string): void {
    for (const outlet of this.#outlets) outlet.close(code, reason)
    this.#outlets.clear()
  }
}
