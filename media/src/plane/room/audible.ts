import type { LegRole } from '../contract.ts'

const isSupervisor = (role: LegRole): role is Exclude<LegRole, string> => typeof role === 'object'
const isAgentSide = (role: LegRole): boolean => role === 'agent' || role === 'colleague'

/** Whether the one hears what the other says. Nobody hears himself: that is about legs, not about roles. */
export function hears(listener: LegRole, speaker: LegRole): boolean {
  if (!isSupervisor(speaker)) return true
  if (speaker.supervisor === 'listen') return false
  return speaker.supervisor === 'barge' || isSupervisor(listener) || isAgentSide(listener)
}
