import { describe, expect, it } from 'vitest'
import { RedisUrl, sentinelsOf } from './address.ts'

describe('the address of Redis', () => {
  it.each(['redis://127.0.0.1:6379/0', 'rediss://:secret@redis.example.com:6380', 'redis+sentinel://a:26379,b:26380/mymaster'])('may be %s, and stays as it was written', (url) => {
    expect(RedisUrl.parse(url)).toBe(url)
  })

  it.each([
    'http://127.0.0.1', 'redis', '', 'redis+sentinel://a:26379', 'redis+sentinel://a:26379/', 'redis+sentinel:///mymaster', 'redis+sentinel://a:26379,,b/mymaster', 'redis+sentinel://a:99999/mymaster',
    'redis+sentinel://a b/mymaster', 'redis+sentinel://a/mymaster/x', 'redis+sentinel://a/mymaster?sentinelpassword=x', 'redis+sentinel://:%zz@a/mymaster', 'redis+sentinel://a@b@c/mymaster',
  ])('is refused as %s, with the shape that it should have and without what was given', (url) => {
    const message = RedisUrl.safeParse(url).error!.issues[0]!.message
    expect(message).toContain('redis+sentinel://')
    if (url.includes('zz')) expect(message).not.toContain('zz')
  })

  it('of sentinels names them all, the master and the credentials of both', () => {
    expect(sentinelsOf('redis+sentinel://app:p%40ss%2Fword@one:26380,two,[::1]:26381/orders/3?sentinel_username=watch&sentinel_password=s%26t')).toEqual({
      sentinels: [{ host: 'one', port: 26_380 }, { host: 'two', port: 26_379 }, { host: '::1', port: 26_381 }],
      name: 'orders', db: 3, username: 'app', password: 'p@ss/word', sentinelUsername: 'watch', sentinelPassword: 's&t',
    })
  })

  it('of sentinels over TLS speaks it with the servers, too', () => {
    expect(sentinelsOf('rediss+sentinel://:secret@one/orders')).toMatchObject({ password: 'secret', tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true })
  })

  it('of one server has no sentinels', () => {
    expect(sentinelsOf('redis://127.0.0.1:6379/0')).toBeNull()
  })
})
