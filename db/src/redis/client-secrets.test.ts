import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectRedis, createClientSecrets, createKeyring, type Redis } from '../index.ts'

const OLD = 'an older master secret of 32 characters'
const NEW = 'a newer master secret of 32 characters!'
type Grant = { opens: string }
let redis: Redis
beforeAll(async () => {
  redis = connectRedis(freshRedis())
  await redis.connect()
})
afterAll(() => redis.disconnect())

const book = (secrets: string[], purpose = 'test') => createClientSecrets<Grant>({ redis, keyring: createKeyring(secrets), purpose })

describe('client secrets', () => {
  it('open what they were made for, to one of many who come at once', async () => {
    const secrets = book([NEW])
    await secrets.keep('ek_one', { opens: 'a session' }, 60_000)
    const answers = await Promise.all(Array.from({ length: 20 }, () => secrets.take('ek_one')))
    expect(answers.filter((answer) => answer !== null)).toEqual([{ opens: 'a session' }])
    expect(await secrets.take('ek_one')).toBeNull()
  })

  it('are nowhere in Redis, and neither is what they open', async () => {
    await book([NEW]).keep('ek_hidden', { opens: 'instructions of a customer' }, 60_000)
    const prefix = redis.options.keyPrefix ?? ''
    const names = await redis.keys(`${prefix}client-secret:*`)
    expect(names.length).toBeGreaterThan(0)
    for (const name of names) {
      expect(name).not.toContain('ek_hidden')
      expect((await redis.getBuffer(name.slice(prefix.length)))!.toString('latin1')).not.toMatch(/instructions|ek_hidden/)
    }
  })

  it('end by themselves', async () => {
    await book([NEW]).keep('ek_short', { opens: 'x' }, 60_000)
    const prefix = redis.options.keyPrefix ?? ''
    const lives = await Promise.all((await redis.keys(`${prefix}client-secret:*`)).map((name) => redis.pttl(name.slice(prefix.length))))
    expect(Math.min(...lives)).toBeGreaterThan(0)
    expect(Math.max(...lives)).toBeLessThanOrEqual(60_000)
  })

  it('of before a change of the master secret still open; those of another purpose do not', async () => {
    await book([OLD]).keep('ek_old', { opens: 'before' }, 60_000)
    expect(await book([NEW, OLD], 'other').take('ek_old')).toBeNull()
    expect(await book([NEW, OLD]).take('ek_old')).toEqual({ opens: 'before' })
  })
})
