import { expect, it } from 'vitest'
import { libraryOf, timeByPlace, type Profile } from './profile.ts'

const frame = (url: string, functionName = 'f') => ({ url, functionName, lineNumber: 0 })

it('self time falls on libraries, on our folders, on Node and on the collector', () => {
  const urls = ['file:///x/node_modules/@fastify/cors/a.js', 'file:///x/node_modules/pg/lib/client.js', 'file:///x/db/src/queue/accept.ts', 'file:///x/apps/api/src/main.ts', 'node:internal/streams/a']
  expect(urls.map((url) => libraryOf(frame(url)))).toEqual(['@fastify/cors', 'pg', 'db/queue', 'apps/api', 'node:internal/streams'])
  expect(libraryOf(frame('', '(garbage collector)'))).toBe('(garbage collector)')
  const profile: Profile = { nodes: [{ id: 1, callFrame: frame(urls[1]!) }, { id: 2, callFrame: frame(urls[2]!) }], samples: [1, 2, 1], timeDeltas: [1_000, 2_000, 3_000] }
  expect([...timeByPlace([profile])]).toEqual([['pg', 4], ['db/queue', 2]])
})
