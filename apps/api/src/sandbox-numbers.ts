import { AppError } from '@trunkline/core'
import type { SandboxNumbers } from './provision.ts'

/** The sandbox's own control API; see apps/sandbox/README.md. */
export const createSandboxNumbers = (sandboxUrl: string): SandboxNumbers => ({
  async register(number) {
    const response = await fetch(`${sandboxUrl}/sandbox/whatsapp/numbers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        phone_number_id: number.phoneNumberId,
        webhook_url: number.webhookUrl,
        app_secret: number.appSecret,
        verify_token: number.verifyToken,
        access_token: number.accessToken,
      }),
      signal: AbortSignal.timeout(5_000),
    }).catch((cause: unknown) => {
      throw new AppError('unavailable', { message: 'The sandbox does not answer.', cause })
    })
    if (!response.ok) throw new AppError('upstream_rejected', { message: `The sandbox refused the number (${response.status}).` })
  },
})
