import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { createBell, type Bell } from './bell.ts'
import { connectRedis, redisReady } from './connect.ts'

const place = freshRedis()
const redis = connectRedis(place)
let bell: Bell
beforeAll(async () => {
  await redisReady(redis, 5_000)
  bell = createBell(redis, place)
})
afterAll(() => {
  bell.close()
  redis.disconnect()
})

/** Rings until it is heard: a subscription takes a moment to reach Redis. */
async function ringUntil(heard: Promise<string>, topic: string, word: string): Promise<string> {
  const again = setInterval(() => bell.ring(topic, word), 5)
  return heard.finally(() => clearInterval(again))
}

it('is heard by those who listen to its topic, until they stop', async () => {
  const words: string[] = []
  const first = Promise.withResolvers<string>()
  const stop = bell.listen('visitor:1', (word) => (words.push(word), first.resolve(word)))
  bell.listen('visitor:2', () => words.push('wrong topic'))
  expect(await ringUntil(first.promise, 'visitor:1', 'hello')).toBe('hello')
  stop()
  const second = Promise.withResolvers<string>()
  bell.listen('visitor:1', second.resolve)
  const before = words.length
  await ringUntil(second.promise, 'visitor:1', 'again')
  expect(words.slice(before)).not.toContain('again')
  expect(words).not.toContain('wrong topic')
})
