export { socketUrl, stepUrl, streamCall, type VoiceAddresses, type VoiceStep } from '@trunkline/channels'
