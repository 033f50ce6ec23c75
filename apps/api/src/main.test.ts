import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, type FreshDatabase } from '../../../tests/harness/database.ts'
import { spawnNode } from '../../../tests/harness/processes.ts'
import { freshRedis } from '../../../tests/harness/redis.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

const environment = () => ({ DATABASE_URL: database.url, REDIS_URL: freshRedis().url, TRUNKLINE_SECRETS: database.secret, SMTP_URL: 'smtp://127.0.0.1:1', PORT: '0', LOG_LEVEL: 'error' })

describe('the API process', () => {
  it('says that it is ready, serves, and ends with 0 on SIGTERM', async () => {
    const api = spawnNode(MAIN, environment())
    const [line] = await api.line(/^\{"ready":"api".*$/)
    const { url } = JSON.parse(line) as { url: string }
    const ready = await fetch(`${url}/ready`)
    expect(await ready.json()).toEqual({ status: 'ok', postgres: 'ok', redis: 'ok' })
    expect((await fetch(`${url}/v1/admin/projects`)).status).toBe(401)
    api.signal('SIGTERM')
    expect(await api.exited).toEqual({ code: 0, signal: null })
  })

  it('lists what is wrong with its environment and ends with 1', async () => {
    const api = spawnNode(MAIN, { ...environment(), REDIS_URL: 'hidden-value', TRUNKLINE_SECRETS: 'hidden-short' })
    expect(await api.exited).toEqual({ code: 1, signal: null })
    const said = api.stderr.join('\n')
    expect(said).toMatch(/REDIS_URL(.|\n)*TRUNKLINE_SECRETS/)
    expect(said).not.toContain('hidden')
  })
})
