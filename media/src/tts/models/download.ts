import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import { AppError } from '@trunkline/core'
import { Agent, interceptors, request, type Dispatcher } from 'undici'
import type { ModelFile } from './list.ts'
import { PartFile, isWhole } from './part-file.ts'

export type DownloadProgress = { path: string; doneBytes: number; totalBytes: number; allDoneBytes: number; allBytes: number }
export type DownloadOptions = {
  directory: string
  signal: AbortSignal
  /** For a bar on a terminal; often. */
  onProgress?: (progress: DownloadProgress) => void
  /** In a row without a single byte; progress starts the count anew. */
  attempts?: number
  /** First pause between two attempts; it doubles up to 10 s. */
  pauseMs?: number
  /** Longest silence of the server. */
  stallMs?: number
}

const DEFAULTS = { attempts: 5, pauseMs: 500, stallMs: 30_000 }
const MAX_PAUSE_MS = 10_000
/** Hubs send to their content network. */
const MAX_REDIRECTS = 5

/**
 * Brings the files of a model into a folder. What is there and right is left alone; what broke off goes on where it was, now or at the next
 * start; nothing gets its name before its sum is right. Rejects with AppError `upstream_failed` (try again) or `upstream_rejected` (the list or
 * the server is wrong), or with the signal's reason.
 */
export async function downloadModels(files: readonly ModelFile[], options: DownloadOptions): Promise<void> {
  const allBytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const agent = new Agent({ bodyTimeout: options.stallMs ?? DEFAULTS.stallMs, headersTimeout: options.stallMs ?? DEFAULTS.stallMs }).compose(interceptors.redirect({ maxRedirections: MAX_REDIRECTS }))
  let before = 0
  try {
    for (const file of files) {
      options.signal.throwIfAborted()
      const tell = (doneBytes: number): void => options.onProgress?.({ path: file.path, doneBytes, totalBytes: file.bytes, allDoneBytes: before + doneBytes, allBytes })
      if (!(await isWhole(join(options.directory, file.path), file.bytes, file.sha256))) await fetchFile(file, options, agent, tell)
      tell(file.bytes)
      before += file.bytes
    }
  } finally {
    await agent.destroy()
  }
}

async function fetchFile(file: ModelFile, options: DownloadOptions, agent: Dispatcher, tell: (doneBytes: number) => void): Promise<void> {
  const part = new PartFile(join(options.directory, file.path))
  await part.open(file.bytes)
  try {
    // A part of another version of the file spoils the sum: once from the beginning, then it is the list or the server that is wrong.
    const resumed = part.bytes > 0
    await fill(part, file, options, agent, tell)
    if (resumed && part.sha256() !== file.sha256) {
      await part.restart()
      await fill(part, file, options, agent, tell)
    }
    if (part.sha256() !== file.sha256) {
      await part.restart()
      throw rejected(file, 'is not what the list says: its SHA-256 differs')
    }
    await part.finish()
  } finally {
    await part.close()
  }
}

/** Until all bytes are there, over as many connections as it takes. */
async function fill(part: PartFile, file: ModelFile, { signal, attempts = DEFAULTS.attempts, pauseMs = DEFAULTS.pauseMs }: DownloadOptions, agent: Dispatcher, tell: (doneBytes: number) => void): Promise<void> {
  for (let failed = 0; part.bytes < file.bytes; ) {
    const had = part.bytes
    try {
      await fetchRest(part, file, signal, agent, tell)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof AppError && error.code === 'upstream_rejected') throw error
      failed = part.bytes > had ? 0 : failed + 1
      if (failed >= attempts) throw new AppError('upstream_failed', { message: `The model file ${file.path} cannot be fetched now.`, cause: error })
      await delay(Math.min(MAX_PAUSE_MS, pauseMs * 2 ** failed), undefined, { signal })
    }
  }
}

/** One request for what is missing. Throws when the connection breaks; what came is kept. */
async function fetchRest(part: PartFile, file: ModelFile, signal: AbortSignal, dispatcher: Dispatcher, tell: (doneBytes: number) => void): Promise<void> {
  const headers = { 'accept-encoding': 'identity', ...(part.bytes > 0 ? { range: `bytes=${part.bytes}-` } : {}) }
  const { statusCode: status, headers: answered, body } = await request(file.url, { headers, signal, dispatcher })
  // Destroyed before its end it tells an error, which is ours and wanted.
  body.on('error', () => undefined)
  try {
    await startAt(part, file, status, String(answered['content-range'] ?? ''))
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      if (part.bytes + chunk.length > file.bytes) throw await tooLong(part, file)
      await part.write(chunk)
      tell(part.bytes)
    }
    if (part.bytes < file.bytes) throw new Error('The answer ended early')
  } finally {
    body.destroy()
  }
}

/** 206 goes on where we are (RFC 9110 §15.3.7); 200 is the whole again; 416 says that our part is longer than the server's file. */
async function startAt(part: PartFile, file: ModelFile, status: number, contentRange: string): Promise<void> {
  if (status === 206 && contentRange.startsWith(`bytes ${part.bytes}-`)) return
  if (status === 200 || status === 206 || status === 416) {
    if (part.bytes > 0) await part.restart()
    if (status === 200) return
    throw new Error('The server has no such range')
  }
  if (status === 408 || status === 429 || status >= 500) throw new Error(`The server answered ${status}`)
  throw rejected(file, `cannot be fetched: the server answered ${status}`)
}

async function tooLong(part: PartFile, file: ModelFile): Promise<AppError> {
  await part.restart()
  return rejected(file, `is longer than the ${file.bytes} bytes of the list`)
}

const rejected = (file: ModelFile, what: string): AppError => new AppError('upstream_rejected', { message: `The model file ${file.path} ${what}.` })
