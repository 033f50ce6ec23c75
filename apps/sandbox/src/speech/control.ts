import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { parseOr400 } from '../control/input.ts'
import { ScriptLine } from './script.ts'
import type { SpeechWorld } from './world.ts'

const ms = z.number().min(0).max(600_000).optional()
const PaceInput = z.strictObject({ first_sound_ms: ms, chunk_ms: z.number().min(5).max(10_000).optional(), per_chunk_ms: ms, final_ms: ms })
const ScriptInput = z.strictObject({ lines: z.array(z.union([z.string().max(5_000), ScriptLine])).min(1).max(1_000) })

const wire = ({ firstSoundMs, chunkMs, perChunkMs, finalMs }: SpeechWorld['pace']) => ({ first_sound_ms: firstSoundMs, chunk_ms: chunkMs, per_chunk_ms: perChunkMs, final_ms: finalMs })

/** What the recognisers will hear, and how quick the suppliers are. */
export function speechControlRoutes(app: FastifyInstance, { script, pace }: SpeechWorld): void {
  app.post('/sandbox/speech/script', (request, reply) => {
    const { lines } = parseOr400(ScriptInput, request.body, 'body')
    script.add(lines.map((line) => ScriptLine.parse(typeof line === 'string' ? { text: line } : line)))
    return reply.code(201).send({ lines: script.length })
  })
  app.delete('/sandbox/speech/script', (_request, reply) => {
    script.clear()
    return reply.code(204).send()
  })
  app.get('/sandbox/speech/pace', () => wire(pace))
  app.put('/sandbox/speech/pace', (request) => {
    const input = parseOr400(PaceInput, request.body, 'body')
    pace.firstSoundMs = input.first_sound_ms ?? pace.firstSoundMs
    pace.chunkMs = input.chunk_ms ?? pace.chunkMs
    pace.perChunkMs = input.per_chunk_ms ?? pace.perChunkMs
    pace.finalMs = input.final_ms ?? pace.finalMs
    return wire(pace)
  })
}
