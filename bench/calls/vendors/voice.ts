import type { ServerResponse } from 'node:http'
import { sharedMs } from '../clock.ts'
import { KEY, PACE } from '../script.ts'
import type { Note } from './notes.ts'

const BYTES_PER_MS = 48
const LONGEST_MS = 30_000

/** Noise that swells and fades like syllables: nothing that compresses well, nothing that costs to make. */
const SOUND = Buffer.alloc(LONGEST_MS * BYTES_PER_MS)
for (let sample = 0; sample < SOUND.length / 2; sample++) SOUND.writeInt16LE(Math.round(6_000 * Math.sin(sample / 12) * Math.abs(Math.sin(sample / 5_000))), sample * 2)

/** `POST /v1/audio/speech`: PCM of 24 kHz, portion by portion and much faster than it is played. */
export function speak(body: string, reply: ServerResponse, note: Note): void {
  const { input } = JSON.parse(body) as { input: string }
  const key = input.match(KEY)?.[0]
  if (key) note('speak', key, sharedMs())
  const bytes = Math.min(SOUND.length, input.length * PACE.soundMsPerChar * BYTES_PER_MS)
  const portion = PACE.portionMs * BYTES_PER_MS
  let at = 0
  let timer: NodeJS.Timeout
  const send = (): void => {
    if (key) note('sound', key, sharedMs())
    reply.write(SOUND.subarray(at, Math.min(bytes, at + portion)))
    at += portion
    if (at < bytes) return
    clearInterval(timer)
    reply.end()
  }
  timer = setTimeout(() => {
    reply.writeHead(200, { 'content-type': 'audio/pcm', 'x-request-id': `req_${key ?? 'speech'}` })
    timer = setInterval(send, PACE.portionEveryMs)
    send()
  }, PACE.firstSoundMs)
  reply.once('close', () => clearTimeout(timer))
}
