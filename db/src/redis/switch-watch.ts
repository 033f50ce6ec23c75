import { Redis, SentinelConnector, type SentinelConnectionOptions } from 'ioredis'

type Stream = Awaited<ReturnType<SentinelConnector['connect']>>

const SWITCHED = '+switch-master'
const ENDPOINT = { host: '127.0.0.1', port: 26_379 }

/**
 * Asks sentinels where the master is, as ioredis does, and hears from each of them when that changes: a connection to what was the
 * master is then given up at once, also where the machine behind it says nothing any more. ioredis' own `failoverDetector` does that
 * by `disconnect`, which, in the middle of a reconnect, ends the client for good (6.0.0: seen with a master that is killed).
 */
export class SwitchWatch extends SentinelConnector {
  #ears: Redis[] = []
  #current: Stream | null = null

  override async connect(emit: Parameters<SentinelConnector['connect']>[0]): Promise<Stream> {
    // Before the question: a switch in between is heard.
    if (this.#ears.length === 0) this.#ears = (this.options.sentinels ?? []).map((place) => this.#listen(place))
    this.#current = await super.connect(emit)
    return this.#current
  }

  /** Of the client: for good, or before it connects anew. */
  override disconnect(): void {
    for (const ear of this.#ears.splice(0)) ear.disconnect()
    super.disconnect()
  }

  #listen({ host = ENDPOINT.host, port = ENDPOINT.port }: NonNullable<SentinelConnectionOptions['sentinels']>[number]): Redis {
    const { name, sentinelUsername, sentinelPassword, sentinelTLS, connectTimeout } = this.options
    const ear = new Redis({
      host, port, enableReadyCheck: false, maxRetriesPerRequest: null, retryStrategy: (attempt) => Math.min(100 * attempt, 2_000),
      ...(connectTimeout === undefined ? {} : { connectTimeout }),
      ...(sentinelUsername ? { username: sentinelUsername } : {}),
      ...(sentinelPassword ? { password: sentinelPassword } : {}),
      ...(sentinelTLS ? { tls: sentinelTLS } : {}),
    })
    ear.on('error', () => {})
    ear.on('message', (_channel: string, text: string) => {
      const [of, , , host, port] = text.split(' ')
      if (of === name && host !== undefined) this.#leave(host, Number(port))
    })
    ear.subscribe(SWITCHED).catch(() => {})
    return ear
  }

  /** Sentinels tell one after the other: who is with the new master already stays. */
  #leave(host: string, port: number): void {
    const stream = this.#current
    if (!stream || stream.destroyed || (stream.remoteAddress === host && stream.remotePort === port)) return
    stream.destroy()
  }
}
