import type { SpeechFailureCode } from '../stt/contract.ts'

/** What a thread can be asked for: by the name of a job, what goes in and what comes back. */
export type Jobs = Record<string, { ask: unknown; answer: unknown }>

export type ToThread = { id: number; job: string; ask: unknown } | { id: number; job: null }
export type FromThread = { id: number } & ({ answer: unknown } | { failed: { code: SpeechFailureCode; message: string } })
