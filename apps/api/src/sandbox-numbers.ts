import { AppError } from '@trunkline/core'
import type { SandboxNumbers } from './provision.ts'

/** The sandbox's own control API; see apps/sandbox/README.md. */
export function createSandboxNumbers(sandboxUrl: string): SandboxNumbers {
  const tell = async (path: string, body: Record<string, string>): Promise<void> => {
    const response = await fetch(`${sandboxUrl}/sandbox/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5_000),
    }).catch((cause: unknown) => {
      throw new AppError('unavailable', { message: 'The sandbox does not answer.', cause })
    })
    if (!response.ok) throw new AppError('upstream_rejected', { message: `The sandbox refused the number (${response.status}).` })
  }
  return {
    register: (number) =>
      tell('whatsapp/numbers', {
        phone_number_id: number.phoneNumberId,
        webhook_url: number.webhookUrl,
        app_secret: number.appSecret,
        verify_token: number.verifyToken,
        access_token: number.accessToken,
      }),
    registerTelephone: (number) =>
      tell('carriers/twilio/numbers', {
        number: number.address,
        account_sid: number.accountSid,
        auth_token: number.authToken,
        voice_url: number.webhookUrl,
        status_url: number.webhookUrl,
      }),
  }
}
