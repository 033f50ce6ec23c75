import { createReadStream } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Id, Logger } from '@trunkline/core'
import { calls, type Db, type MediaStore } from '@trunkline/db'
import { joinWavs, openFileSink, repairWav, type RecordingSink } from '@trunkline/media'

export type RecordingsDeps = { db: Db; store: MediaStore; /** Where recordings grow while their calls run. */ folder: string; log: Logger }

export type Recordings = {
  /** A new file for the call from this moment of it on, written while it runs. Null when there can be none: the call goes on without. */
  open(call: calls.Call, epoch: number, sinceMs: number): Promise<RecordingSink | null>
  /** Takes what was recorded of an ended call into the store; what a process left half-written is mended first. Doing it twice is fine. */
  store(tenantId: Id, callId: Id): Promise<void>
}

/** Two channels of 16 bits at 48 kHz for four hours are 2.8 GB; telephone calls are a sixth of that. */
const BYTES_MAX = 4 * 1024 ** 3

const startOf = (path: string): number => Number(/-(\d+)\.wav$/.exec(path)?.[1] ?? 0)

export function createRecordings({ db, store, folder, log }: RecordingsDeps): Recordings {
  // The name says when in the call a piece begins: whoever joins them may be another process.
  const name = (callId: Id, epoch: number, sinceMs: number) => `${callId}-${String(epoch).padStart(4, '0')}-${Math.round(sinceMs)}.wav`
  const piecesOf = async (callId: Id) => (await readdir(folder).catch(() => [])).filter((file) => file.startsWith(`${callId}-`)).toSorted().map((file) => join(folder, file))
  const note = (callId: Id, recording: Parameters<typeof calls.setRecording>[2]) => db.system('calls', (tx) => calls.setRecording(tx, callId, recording))

  async function take(tenantId: Id, callId: Id, pieces: string[]): Promise<void> {
    for (const piece of pieces) await repairWav(piece)
    const whole = pieces.length === 1 ? pieces[0]! : join(folder, `${callId}.whole.wav`)
    if (pieces.length > 1) await joinWavs(whole, pieces.map((path) => ({ path, startMs: startOf(path) })))
    const { durationMs } = await repairWav(whole)
    const { key, sizeBytes } = await store.put(tenantId, createReadStream(whole), { maxBytes: BYTES_MAX })
    await note(callId, { state: 'stored', key, durationMs: Math.round(durationMs), sizeBytes })
    for (const file of new Set([...pieces, whole])) await rm(file, { force: true })
  }

  return {
    async open(call, epoch, sinceMs) {
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        const sink = await openFileSink(join(folder, name(call.id, epoch, sinceMs)))
        await note(call.id, { state: 'recording', key: null, durationMs: null, sizeBytes: null })
        return sink
      } catch (error) {
        log.error({ error, callId: call.id }, 'a call is not recorded: the file could not be opened')
        return null
      }
    },
    async store(tenantId, callId) {
      const pieces = await piecesOf(callId)
      if (pieces.length === 0) return
      try {
        await take(tenantId, callId, pieces)
      } catch (error) {
        log.error({ error, callId }, 'a recording could not be stored; trying again')
      }
    },
  }
}
