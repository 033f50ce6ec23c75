import type { ApiConfig } from './config.ts'
import type { Mail } from './deps.ts'

type Place = Pick<ApiConfig, 'appUrl'>

const link = ({ appUrl }: Place, path: string, token: string) => `${appUrl}${path}?token=${encodeURIComponent(token)}`

export const verificationMail = (place: Place, to: string, token: string): Mail => ({
  to,
  subject: 'Confirm your e-mail address',
  text: `Welcome to Trunkline.\n\nConfirm this address within 24 hours:\n${link(place, '/verify-email', token)}\n\nIf you did not sign up, ignore this mail.\n`,
})

export const resetMail = (place: Place, to: string, token: string): Mail => ({
  to,
  subject: 'Choose a new password',
  text: `Somebody, hopefully you, asked for a new password.\n\nChoose one within an hour:\n${link(place, '/reset-password', token)}\n\nIf it was not you, ignore this mail: nothing has changed.\n`,
})

export const invitationMail = (place: Place, to: string, token: string, tenantName: string): Mail => ({
  to,
  subject: `You are invited to ${tenantName.replaceAll(/[\r\n]/g, ' ')} on Trunkline`,
  text: `${tenantName} invites you to Trunkline.\n\nAccept within 7 days:\n${link(place, '/accept-invitation', token)}\n\nIf you do not know them, ignore this mail.\n`,
})
