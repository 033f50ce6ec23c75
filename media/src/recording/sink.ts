import { open, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

/** Where a recording goes while the call runs: a file, or parts of an upload. Calls come one after the other. */
export type RecordingSink = {
  /** Appends. The bytes are the sink's to keep. */
  write(bytes: Uint8Array): Promise<void>
  /** Overwrites what was written before (the sizes in a WAV header). */
  patch(offset: number, bytes: Uint8Array): Promise<void>
  close(): Promise<void>
  /** The recording must not exist: the caller did not consent. */
  discard(): Promise<void>
}

/** A new file; rejects when there is one. What was written survives the end of the process, not a loss of power. */
export async function openFileSink(path: string): Promise<RecordingSink> {
  const handle = await open(path, 'wx')
  let length = 0
  return {
    async write(bytes) {
      await writeAll(handle, bytes, length)
      length += bytes.length
    },
    patch: (offset, bytes) => writeAll(handle, bytes, offset),
    async close() {
      await handle.datasync()
      await handle.close()
    },
    async discard() {
      await handle.close()
      await unlink(path)
    },
  }
}

/** A single write may take less than it was given. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

type Patch = { offset: number; bytes: Uint8Array }

/** Feeds a sink in order, one call at a time, from a queue of bounded size. */
export class SinkFeeder {
  readonly #sink: RecordingSink
  readonly #maxPendingBytes: number
  readonly #onFault: (error: unknown) => void
  #tail: Promise<void> = Promise.resolve()
  #pendingBytes = 0
  #writtenBytes = 0
  #fault: { error: unknown } | null = null

  constructor(sink: RecordingSink, maxPendingBytes: number, onFault: (error: unknown) => void) {
    this.#sink = sink
    this.#maxPendingBytes = maxPendingBytes
    this.#onFault = onFault
  }

  get fault(): { error: unknown } | null {
    return this.#fault
  }

  /** Accepted or written. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  get roomBytes(): number {
    return this.#fault ? 0 : Math.max(0, this.#maxPendingBytes - this.#pendingBytes)
  }

  write(bytes: Uint8Array): void {
    this.#pendingBytes += bytes.length
    this.#writtenBytes += bytes.length
    this.#enqueue(() => this.#sink.write(bytes), bytes.length)
  }

  /** After everything that was written before it. */
  patch({ offset, bytes }: Patch): void {
    this.#enqueue(() => this.#sink.patch(offset, bytes), 0)
  }

  /** Resolves when all is written, or cannot be. */
  async drained(): Promise<void> {
    await this.#tail
  }

  async close(): Promise<void> {
    this.#enqueue(() => this.#sink.close(), 0)
    await this.#tail
  }

  async discard(): Promise<void> {
    this.#fault ??= { error: null }
    await this.#tail
    await this.#sink.discard()
  }

  #enqueue(act: () => Promise<void>, bytes: number): void {
    this.#tail = this.#tail.then(async () => {
      try {
        if (!this.#fault) await act()
      } catch (error) {
        this.#fault = { error }
        this.#onFault(error)
      } finally {
        this.#pendingBytes -= bytes
      }
    })
  }
}
