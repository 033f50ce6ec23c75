import { z } from 'zod'
import { TtsEngineId } from './call.ts'
import { Id } from './ids.ts'

// Simulated callers put an agent under test: they ring it, talk with it by sound, and say what they heard. Names are those of the wire.

const Words = z.string().trim().min(1).max(1_000)
/** Words in a row, whatever their case and punctuation; or a regular expression (RE2) between slashes: `/nine|9:00/`. */
export const HeardPattern = z.string().trim().min(1).max(300).meta({ description: 'Words in a row, whatever their case and punctuation; or a regular expression (RE2, case does not count) between slashes', examples: ['pier 4', '/nine|9:00/'] })

const SimulatedStep = z.union([
  z.strictObject({ say: Words }).meta({ description: 'Said when the agent has finished' }),
  z.strictObject({ wait_for: HeardPattern, within_ms: z.number().int().min(500).max(60_000).default(20_000) }).meta({ description: 'Until this was heard since the caller last spoke' }),
  z.strictObject({ interrupt_after_ms: z.number().int().min(0).max(30_000), say: Words }).meta({ description: 'Said over the agent’s voice, so long after its answer began to sound' }),
  z.strictObject({ press: z.string().regex(/^[0-9*#]{1,32}$/, 'keys of a telephone') }),
  z.strictObject({ pause_ms: z.number().int().min(100).max(60_000) }).meta({ description: 'Silence' }),
  z.strictObject({ hang_up: z.literal(true) }).meta({ description: 'When the agent has finished. A script without it ends after the last answer.' }),
])
export type SimulatedStep = z.infer<typeof SimulatedStep>

const SimulatedVoice = z.strictObject({
  engine: TtsEngineId.nullable().default(null).meta({ description: 'null: the first that is set up' }),
  voice_id: z.string().min(1).max(128).nullable().default(null),
  speed: z.number().min(0.5).max(2).default(1),
  pitch: z.number().min(0.5).max(2).default(1).meta({ description: 'Of any engine: 1.2 is a fifth higher, at the same speed' }),
  language: z.string().regex(/^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$/, 'a language tag (BCP 47), like en-GB').nullable().default(null),
})

export const NoiseKind = z.enum(['white', 'street', 'babble'])
export type NoiseKind = z.infer<typeof NoiseKind>

const SimulatedCallerShape = z.strictObject({
  name: z.string().trim().min(1).max(100).optional(),
  script: z.array(SimulatedStep).min(1).max(100).optional(),
  goal: z.string().trim().min(1).max(2_000).optional().meta({ description: 'Instead of a script: what the caller wants. The agent’s own model plays the caller.' }),
  voice: SimulatedVoice.prefault({}),
  noise: z.strictObject({ kind: NoiseKind, snr_db: z.number().min(-10).max(60) }).nullable().default(null).meta({ description: 'Around the caller, all the time; so much softer than their voice' }),
  packet_loss: z.number().min(0).max(0.3).default(0).meta({ description: 'Part of the caller’s frames that never arrives' }),
  jitter_ms: z.number().min(0).max(500).default(0).meta({ description: 'The caller’s frames are late by up to this much; their order is kept' }),
})
export const SimulatedCaller = SimulatedCallerShape.refine(({ script, goal }) => (script === undefined) !== (goal === undefined), { path: ['script'], error: 'Either a script or a goal.' })
export type SimulatedCaller = z.infer<typeof SimulatedCaller>

export const EndedBy = z.enum(['caller', 'agent', 'transfer', 'silence', 'max_duration', 'failure'])
export type EndedBy = z.infer<typeof EndedBy>

const ms = z.number().int().min(1).max(60_000)
export const SimulationAssertion = z.union([
  z.strictObject({ heard: HeardPattern }).meta({ description: 'The agent said it and the caller heard it' }),
  z.strictObject({ not_heard: HeardPattern }),
  z.strictObject({ max_response_ms: ms }).meta({ description: 'From the caller’s last sound to the agent’s first one, 95th percentile of the call' }),
  z.strictObject({ interrupted_within_ms: ms }).meta({ description: 'From the caller’s first sound over the agent’s voice to silence, each time; fails when nothing was interrupted' }),
  z.strictObject({ ended_by: EndedBy }),
  z.strictObject({ tool_called: z.string().min(1).max(64) }),
  z.strictObject({ max_turns: z.number().int().min(1).max(200) }).meta({ description: 'Answers of the agent' }),
])
export type SimulationAssertion = z.infer<typeof SimulationAssertion>

export const SIMULATED_CALLS_MAX = 50
/** A simulated call that has not ended by itself is hung up. */
export const SIMULATED_CALL_SECONDS_MAX = 600

export const Simulation = z
  .strictObject({
    agent_id: Id.meta({ description: 'An agent that answers a telephone number' }),
    name: z.string().trim().min(1).max(255).optional(),
    callers: z.array(SimulatedCaller).min(1).max(SIMULATED_CALLS_MAX),
    repeat: z.number().int().min(1).max(SIMULATED_CALLS_MAX).default(1).meta({ description: 'Each caller calls so many times' }),
    assertions: z.array(SimulationAssertion).max(50).default([]).meta({ description: 'Of every call' }),
    seed: z.number().int().min(0).max(2_147_483_647).default(1).meta({ description: 'The same seed makes the same noise and loses the same packets' }),
  })
  .refine(({ callers, repeat }) => callers.length * repeat <= SIMULATED_CALLS_MAX, { path: ['repeat'], error: `No more than ${SIMULATED_CALLS_MAX} calls: callers times repeat.` })
export type Simulation = z.infer<typeof Simulation>

export const SimulationStatus = z.enum(['queued', 'running', 'completed', 'failed', 'cancelled'])
export type SimulationStatus = z.infer<typeof SimulationStatus>

const whole = z.number().int()
/** What became of one simulated call. Times are milliseconds of the call, as the caller's ear measured them. */
export const SimulatedCall = z.object({
  caller: whole.meta({ description: 'Which of `callers`, from 0' }),
  repetition: whole.meta({ description: 'From 0' }),
  call_id: Id.nullable().meta({ description: 'Of `/v1/calls`; null when there was none' }),
  ended_by: EndedBy,
  reason: z.string().nullable().meta({ description: 'Why the call ended, or was refused' }),
  duration_ms: whole,
  turns: whole.meta({ description: 'Answers of the agent that were heard' }),
  response: z.object({ p50_ms: whole.nullable(), p95_ms: whole.nullable(), each_ms: z.array(whole) }).meta({ description: 'From the caller’s last sound to the agent’s first' }),
  interruptions: z.array(z.object({ at_ms: whole, silent_after_ms: whole.nullable().meta({ description: 'null: the agent went on' }) })),
  transcript: z.array(z.object({ by: z.enum(['customer', 'agent']), text: z.string(), start_ms: whole, end_ms: whole, interrupted: z.boolean() })).meta({ description: 'Of the agent what was played, of the caller what the agent understood' }),
  listened: z.string().meta({ description: 'The agent’s words as a recogniser at the caller’s ear understood them' }),
  intelligibility: z.number().nullable().meta({ description: 'The part of the agent’s words that the recogniser understood; null: it said none' }),
  waterfall: z.array(z.record(z.string(), z.number().nullable())).meta({ description: 'Where the time of each answer went, inside: as of `/v1/calls/{id}/events`' }),
  tools: z.array(z.string()).meta({ description: 'Tools that the agent called' }),
  failed_step: z.object({ step: whole, why: z.string() }).nullable().meta({ description: 'Where the script could not go on' }),
  assertions: z.array(z.object({ assertion: SimulationAssertion, passed: z.boolean(), evidence: z.string() })),
  passed: z.boolean().meta({ description: 'The script was played to its end and every assertion holds' }),
  recording_key: z.string().nullable(),
})
export type SimulatedCall = z.infer<typeof SimulatedCall>

/** Who places simulated calls. Tenants cannot write it: such calls cost no carrier, and leave no lead and no summary. */
export const SIMULATED_BY = 'simulation:'
export const isSimulated = ({ placedBy }: { placedBy: string }): boolean => placedBy.startsWith(SIMULATED_BY)

/** Tells the voice processes that a simulation waits, or was cancelled. */
export const SIMULATIONS_BELL = 'simulations'
