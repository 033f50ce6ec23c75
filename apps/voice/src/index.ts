export { composeVoice, type Voice } from './compose.ts'
export { readEnv, type VoiceEnv } from './env.ts'
export { PhoneCall, type PhoneCallOptions, type PhoneCallReport } from './calls/phone-call.ts'
export { createReplier, type CallFacts, type ReplierDeps } from './calls/replier.ts'
