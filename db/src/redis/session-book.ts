import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { AppError, newId, type Id } from '@trunkline/core'
import type { Redis } from 'ioredis'
import type { Keyring } from '../seal.ts'
import { subscribe } from './lease.ts'
import { channelPrefix } from './ready.ts'
import { loadScript, runScript } from './script.ts'

const [zip, unzip] = [promisify(gzip), promisify(gunzip)]
const scripts = { save: loadScript('session-save'), take: loadScript('session-take'), forget: loadScript('session-forget') }
/** Compressed and sealed. A longer conversation is not kept: its client cannot come back to it. */
const SEALED_BYTES_MAX = 1024 * 1024
/** Shorter ones are sealed as they are: a compressor costs a quarter of a megabyte each time, which thousands of sessions would feel. */
const ZIP_FROM_BYTES = 32 * 1024
const [PLAIN, ZIPPED] = [0, 1]
/** Unpacked, four bytes for each unit of text at most. */
const PLAIN_BYTES_MAX = 32 * 1024 * 1024
/** How long a living owner may take to write down what it has. */
const HAND_OVER_MS = 200

/** Whose session it is and what it talks with: known before it is taken. */
export type LiveSessionFacts = { tenantId: Id; projectId: Id | null; model: string; /** Unix milliseconds. */ expiresAtMs: number }
/** The right to write it down. Whoever takes a session has a newer one, and the older writes nothing any more. */
export type SessionHold = { sessionId: string; epoch: number }
export type SaveOutcome = 'saved' | 'taken' | 'too_large'

/**
 * Live sessions that any process may go on with. Each has one owner at a time; what is kept is compressed, sealed for its
 * tenant and bounded. All of it throws AppError `unavailable` while Redis is away.
 */
export type SessionBook = {
  /** `kept`: text. `open` false: the owner has let go of it, and anybody may take it without asking. */
  save(hold: SessionHold, facts: LiveSessionFacts, kept: string, order: { open: boolean; lifeMs: number }): Promise<SaveOutcome>
  find(sessionId: string): Promise<LiveSessionFacts | null>
  /** Asks the owner to write down what it has, and takes it. Null: it has gone meanwhile. */
  take(sessionId: string, tenantId: Id): Promise<{ hold: SessionHold; kept: string } | null>
  forget(hold: SessionHold): Promise<void>
  /** `onAsked`: another process wants this session: save it with `open: false` and end it here. Resolves to a function that ends the listening. */
  listen(onAsked: (sessionId: string) => Promise<void>): Promise<() => void>
}

export function createSessionBook({ redis, keyring }: { redis: Redis; keyring: Keyring }): SessionBook {
  const me = newId()
  const keyOf = (sessionId: string) => `live-session:${sessionId}`
  const channelOf = (owner: string) => `sessions:${owner}`
  const waiting = new Map<string, () => void>()
  const publish = (owner: string, message: string) => redis.publish(channelPrefix(redis) + channelOf(owner), message)

  async function ask(owner: string, sessionId: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.set(sessionId, resolve)
    const timer = setTimeout(resolve, HAND_OVER_MS)
    // Nobody listens: the owner is dead, and what it wrote last is all there is.
    if ((await publish(owner, `ask ${sessionId} ${me}`)) > 0) await promise
    clearTimeout(timer)
    waiting.delete(sessionId)
  }

  return {
    async save({ sessionId, epoch }, { tenantId, projectId, model, expiresAtMs }, kept, { open, lifeMs }) {
      const sealed = keyring.seal(await pack(kept), tenantId)
      const fits = sealed.length <= SEALED_BYTES_MAX && kept.length <= PLAIN_BYTES_MAX / 4
      const fields = ['owner', open ? me : '', 'tenant', tenantId, 'project', projectId ?? '', 'model', model, 'expires', expiresAtMs, 'data', fits ? sealed.toString('base64') : '']
      const written = await runScript<number>(redis, scripts.save, [keyOf(sessionId)], [epoch, Math.max(1, Math.ceil(lifeMs)), ...fields]).catch(away)
      return written === 0 ? 'taken' : fits ? 'saved' : 'too_large'
    },
    async find(sessionId) {
      const [tenantId, projectId, model, expires] = await redis.hmget(keyOf(sessionId), 'tenant', 'project', 'model', 'expires').catch(away)
      return tenantId ? { tenantId, projectId: projectId || null, model: model ?? '', expiresAtMs: Number(expires) } : null
    },
    async take(sessionId, tenantId) {
      const owner = await redis.hget(keyOf(sessionId), 'owner').catch(away)
      if (owner) await ask(owner, sessionId).catch(away)
      const taken = await runScript<[number, string] | null>(redis, scripts.take, [keyOf(sessionId)], [me]).catch(away)
      if (!taken || taken[1] === '') return null
      return { hold: { sessionId, epoch: taken[0] }, kept: await unpack(keyring.open(Buffer.from(taken[1], 'base64'), tenantId)) }
    },
    async forget({ sessionId, epoch }) {
      await runScript(redis, scripts.forget, [keyOf(sessionId)], [epoch]).catch(away)
    },
    async listen(onAsked) {
      return subscribe(redis, channelOf(me), (message) => {
        const [verb, sessionId = '', asker = ''] = message?.split(' ') ?? []
        if (verb === 'done') waiting.get(sessionId)?.()
        if (verb === 'ask') void onAsked(sessionId).catch(() => {}).then(() => publish(asker, `done ${sessionId}`)).catch(() => {})
      })
    },
  }
}

/** The first byte says how the rest is written. */
async function pack(kept: string): Promise<Buffer> {
  const plain = Buffer.from(kept)
  if (plain.length < ZIP_FROM_BYTES) return Buffer.concat([Buffer.of(PLAIN), plain])
  return Buffer.concat([Buffer.of(ZIPPED), await zip(plain)])
}

async function unpack(packed: Buffer): Promise<string> {
  const rest = packed.subarray(1)
  return (packed[0] === ZIPPED ? await unzip(rest, { maxOutputLength: PLAIN_BYTES_MAX }) : rest).toString('utf8')
}

function away(cause: unknown): never {
  throw new AppError('unavailable', { cause, retryAfterMs: 1_000 })
}
