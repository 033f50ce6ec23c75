export { composeVoice, type Voice } from './compose.ts'
export { readEnv, type VoiceEnv } from './env.ts'
