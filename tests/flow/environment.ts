import type { Sandbox } from '@trunkline/app-sandbox'

/** As an operator would write it. Limits of callers are far off: they have tests of their own. */
export function environmentOf(sandbox: Pick<Sandbox, 'url' | 'mailPort'>, settings: Record<string, string>): Record<string, string> {
  return {
    LOG_LEVEL: 'silent',
    GRAPH_URL: sandbox.url,
    SMTP_URL: `smtp://127.0.0.1:${sandbox.mailPort}`,
    PRIVATE_ADDRESSES: new URL(sandbox.url).host,
    OPENAI_API_KEY: 'sandbox',
    OPENAI_BASE_URL: `${sandbox.url}/v1`,
    ANTHROPIC_API_KEY: 'sandbox',
    ANTHROPIC_BASE_URL: `${sandbox.url}/anthropic`,
    // The sandbox's voices are tones.
    VAD: 'energy',
    SIGN_UPS_PER_IP: '10000',
    RATE_LIMIT_PUBLIC_PER_IP: '0',
    START_CREDIT_MICROS: '1000000000',
    ...settings,
  }
}
