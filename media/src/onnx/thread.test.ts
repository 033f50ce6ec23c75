import { afterEach, describe, expect, it } from 'vitest'
import type { TestJobs } from './testing/jobs.ts'
import { OnnxThread } from './thread.ts'

let ends = 0
const open: OnnxThread<TestJobs>[] = []
function start(): OnnxThread<TestJobs> {
  const thread = new OnnxThread<TestJobs>({ entry: new URL('./testing/jobs.ts', import.meta.url), name: 'test', onEnd: () => (ends += 1) })
  open.push(thread)
  return thread
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((thread) => thread.close()))
  ends = 0
})

describe('a thread that computes', () => {
  it('does one thing at a time, in the order asked', async () => {
    const thread = start()
    const done: string[] = []
    await Promise.all([['a', 20], ['b', 0], ['c', 5]].map(([tag, turns]) => thread.ask('turns', { tag: tag as string, turns: turns as number }).then((answer) => done.push(answer))))
    expect(done).toEqual(['a', 'b', 'c'])
  })

  it('gives memory away instead of copying it', async () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const answer = await start().ask('bytes', bytes, null, [bytes.buffer])
    expect([bytes.length, [...answer]]).toEqual([0, [1, 2, 3]])
  })

  it('never begins what was called off while it waited, and leaves what was called off in the middle', async () => {
    const thread = start()
    const [running, waiting] = [new AbortController(), new AbortController()]
    const endless = thread.ask('turns', { tag: 'endless', turns: Infinity }, running.signal)
    const unwanted = thread.ask('turns', { tag: 'unwanted', turns: 0 }, waiting.signal)
    waiting.abort(new Error('not any more'))
    await expect(unwanted).rejects.toThrow('not any more')
    running.abort(new Error('enough'))
    await expect(endless).rejects.toThrow('enough')
    // With one thing at a time, this answer says that the endless one was left.
    expect(await thread.ask('begun', null)).not.toContain('unwanted')
    await expect(thread.ask('begun', null, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
  })

  it('tells failures with their code, and of the runtime\'s words the first line', async () => {
    const thread = start()
    await expect(thread.ask('fail', 'speech')).rejects.toMatchObject({ failure: { code: 'model_missing', message: 'test: no such file' } })
    await expect(thread.ask('fail', 'runtime')).rejects.toMatchObject({ failure: { code: 'unavailable', message: 'test: first line' } })
  })

  it('when it dies all that was asked of it fails, the owner is told once, and the next request starts another', async () => {
    const thread = start()
    const asked = await Promise.allSettled([thread.ask('die', null), thread.ask('turns', { tag: 'a', turns: 0 })])
    expect(asked).toMatchObject([0, 1].map(() => ({ status: 'rejected', reason: { failure: { code: 'cut' } } })))
    expect(ends).toBe(1)
    expect(await thread.ask('turns', { tag: 'b', turns: 0 })).toBe('b')
  })

  it('is closed for good, twice if need be, and nobody is told of an end', async () => {
    const thread = start()
    const [asked] = await Promise.all([Promise.allSettled([thread.ask('turns', { tag: 'a', turns: Infinity })]), thread.close(), thread.close()])
    expect(asked).toMatchObject([{ status: 'rejected', reason: { failure: { code: 'cut' } } }])
    expect(ends).toBe(0)
    await expect(thread.ask('begun', null)).rejects.toMatchObject({ failure: { code: 'unavailable' } })
  })
})
