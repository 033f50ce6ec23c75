export { composeVoice, type Voice } from './compose.ts'
export { readEnv, type VoiceEnv } from './env.ts'
export { PhoneCall, type PhoneCallOptions, type PhoneCallReport } from './phone-call.ts'
export { createReplier, type CallFacts, type ReplierDeps } from './replier.ts'
