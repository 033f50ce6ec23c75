import { request, type Dispatcher } from 'undici'
import { createGraphAgent, readBody } from '../graph.ts'

/**
 * What both carriers' SDKs speak HTTP through: our own pool, one deadline over everything, answers of bounded size, no proxy from the
 * environment, and the knowledge whether anything of a request left this machine.
 */
export type Outgoing = { method: string; url: string; headers: Record<string, string>; body: string | null }
export type Incoming = { status: number; headers: Record<string, string>; body: string }

/** One operation of a client; may be several requests. `fault` says how the last one broke off. */
export type Operation = { signal: AbortSignal; fault: { written: boolean; reason: string } | null; /** Told with a refusal. */ retryAfterMs?: number }

export type CarrierHttp = {
  operation(signal: AbortSignal): Operation
  exchange(operation: Operation, outgoing: Outgoing): Promise<Incoming>
  close(): Promise<void>
}

const ANSWER_BYTES_MAX = 1024 * 1024

const flat = (headers: Dispatcher.ResponseData['headers']): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]])))

const reasonOf = (error: unknown): string => {
  const { code, name } = error as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'network error'
}

export function createCarrierHttp(timeoutMs: number): CarrierHttp {
  const agent = createGraphAgent(timeoutMs)
  return {
    operation: (signal) => ({ signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]), fault: null }),
    exchange: (operation, outgoing) => exchange(agent, operation, outgoing),
    close: () => agent.destroy(),
  }
}

async function exchange(agent: Dispatcher, operation: Operation, { url, method, headers, body }: Outgoing): Promise<Incoming> {
  const tracker = { signal: operation.signal, written: false }
  const options: NonNullable<Parameters<typeof request>[1]> & { tracker: typeof tracker } = {
    method: method.toUpperCase(), headers, body, dispatcher: agent, signal: operation.signal, tracker,
  }
  try {
    const answer = await request(url, options)
    const bytes = await readBody(answer.body, ANSWER_BYTES_MAX)
    if (bytes === null) throw Object.assign(new Error('The answer is too large.'), { code: 'ANSWER_TOO_LARGE' })
    return { status: answer.statusCode, headers: flat(answer.headers), body: bytes.toString('utf8') }
  } catch (error) {
    operation.fault = { written: tracker.written, reason: reasonOf(error) }
    throw error
  }
}
