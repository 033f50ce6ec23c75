import { describe, expect, it } from 'vitest'
import { readEnv } from './env.ts'

const good = { DATABASE_URL: 'postgres://user:hidden-password@127.0.0.1/db', REDIS_URL: 'redis://127.0.0.1', TRUNKLINE_SECRETS: 'a'.repeat(32), SMTP_URL: 'smtp://127.0.0.1:25' }

describe('the environment', () => {
  it('is complete with four values', () => {
    const env = readEnv(good)
    expect(env).toMatchObject({ PORT: 8080, DATABASE_SECRET: 'a'.repeat(32), config: { publicUrl: 'http://127.0.0.1:8080', trustProxy: false } })
  })

  it('lists all faults together and repeats no value', () => {
    const read = () => readEnv({ ...good, REDIS_URL: undefined, TRUNKLINE_SECRETS: 'hidden-short', PORT: 'hidden-port', DATABASE_URL: 'mysql://hidden' })
    expect(read).toThrow(/DATABASE_URL(.|\n)*REDIS_URL: is missing(.|\n)*TRUNKLINE_SECRETS(.|\n)*PORT/)
    expect(read).not.toThrow(/hidden/)
  })

  it('keeps the roles of the database when a new master secret is put in front', () => {
    expect(readEnv({ ...good, TRUNKLINE_SECRETS: `${'b'.repeat(32)},${'a'.repeat(32)}` }).DATABASE_SECRET).toBe('a'.repeat(32))
  })
})
