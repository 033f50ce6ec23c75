import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, TEST_CONFIG, type Answer, type World } from '../../../../tests/isolation/world.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.close())

const password = 'correct horse battery staple'
let people = 0
const newEmail = () => `ada${++people}@example.com`
const signUp = async (email = newEmail()) => {
  const answer = await world.call('POST', '/v1/auth/signup', { body: { email, password, name: 'Ada', tenant_name: 'Engines' } })
  expect(answer.status).toBe(201)
  return { email, ...answer }
}
const tokenOf = (email: string): string => {
  const mail = world.mails.findLast((mail) => mail.to === email)!
  return decodeURIComponent(/token=(\S+)/.exec(mail.text)![1]!)
}
const code = (answer: Answer) => (answer.body.error as { code: string } | undefined)?.code

describe('sign-up', () => {
  it('gives a tenant, an owner, a project, an API key that works and a session that works', async () => {
    const { body } = await signUp()
    expect(body).toMatchObject({ tenant: { name: 'Engines', status: 'active' }, project: { environment: 'production' }, session: { token_type: 'Bearer', expires_in: 900 } })
    const asKey = await world.call('GET', '/v1/auth/me', { as: String(body.api_key!.key) })
    expect(asKey).toMatchObject({ status: 200, body: { kind: 'api_key', project_id: body.project!.id } })
    const asUser = await world.call('GET', '/v1/auth/me', { as: String(body.session!.access_token) })
    expect(asUser).toMatchObject({ status: 200, body: { kind: 'user', role: 'owner', email_verified: false } })
  })

  it('leaves nothing behind when the receptionist cannot be made', async () => {
    const failing = await createWorld({ provision: () => Promise.reject(new Error('no receptionist')) })
    const answer = await failing.call('POST', '/v1/auth/signup', { body: { email: 'ada@example.com', password, name: 'Ada', tenant_name: 'Engines' } })
    expect(answer.status).toBe(500)
    expect(answer.text).not.toContain('receptionist')
    const rows = await failing.db.system('test', (tx) => tx.query('SELECT id FROM users UNION ALL SELECT id FROM tenants'))
    expect(rows.rowCount).toBe(0)
    expect(failing.mails).toEqual([])
    await failing.close()
  })

  it('refuses an address that has an account, whatever its case', async () => {
    const { email } = await signUp()
    const again = await world.call('POST', '/v1/auth/signup', { body: { email: email.toUpperCase(), password, name: 'Ada', tenant_name: 'Engines' } })
    expect(again.status).toBe(409)
    expect(again.body.error).toMatchObject({ code: 'conflict', param: 'body.email' })
  })

  it.each([
    ['short', 'body.password'],
    ['Password123', 'body.password'],
    ['aaaaaaaaaaaaaa', 'body.password'],
  ])('refuses the password %s and says where', async (weak, param) => {
    const answer = await world.call('POST', '/v1/auth/signup', { body: { email: newEmail(), password: weak, name: 'Ada', tenant_name: 'Engines' } })
    expect(answer.status).toBe(400)
    expect(answer.body.error).toMatchObject({ param })
    expect(answer.text).not.toContain(weak)
  })

  it('verifies the address by the link of the mail, once', async () => {
    const { email, body } = await signUp()
    const verify = () => world.call('POST', '/v1/auth/verify-email', { body: { token: tokenOf(email) } })
    expect((await verify()).status).toBe(200)
    expect(code(await verify())).toBe('invalid_token')
    const me = await world.call('GET', '/v1/auth/me', { as: String(body.session!.access_token) })
    expect(me.body.email_verified).toBe(true)
  })
})

describe('log-in', () => {
  const logIn = (email: string, typed = password) => world.call('POST', '/v1/auth/login', { body: { email, password: typed } })

  it('answers a wrong password and an unknown address alike', async () => {
    const { email } = await signUp()
    const [wrong, unknown] = [await logIn(email, 'wrong password'), await logIn('nobody@example.com')]
    const anonymous = (answer: typeof wrong) => ({ ...answer.body.error, request_id: '' })
    expect(wrong.status).toBe(401)
    expect(anonymous(wrong)).toEqual(anonymous(unknown))
  })

  it('lists memberships and lets a person choose among tenants', async () => {
    const { email, body } = await signUp()
    const answer = await logIn(email)
    expect(answer.body.memberships).toEqual([{ tenant_id: body.tenant!.id, tenant_name: 'Engines', role: 'owner' }])
    const other = await world.newTenant('Other')
    const refused = await world.call('POST', '/v1/auth/login', { body: { email, password, tenant_id: other.id } })
    expect(refused.status).toBe(403)
  })

  it('locks guessing out, known address or not, and lets another address of the owner in', async () => {
    const strict = await createWorld({ config: { ...TEST_CONFIG, trustProxy: true, guessing: { perAccountAndIp: 3, perIp: 100, perAccount: 50, signUpsPerIp: 10 } } })
    const body = { email: 'ada@example.com', password, name: 'Ada', tenant_name: 'Engines' }
    await strict.call('POST', '/v1/auth/signup', { body })
    const guess = (email: string, typed: string, ip: string) => strict.call('POST', '/v1/auth/login', { body: { email, password: typed }, headers: { 'x-forwarded-for': ip } })
    for (const email of [body.email, 'nobody@example.com']) {
      for (let i = 0; i < 3; i++) expect((await guess(email, 'wrong password', '203.0.113.1')).status).toBe(401)
      const locked = await guess(email, password, '203.0.113.1')
      expect(locked).toMatchObject({ status: 429, body: { error: { code: 'account_locked' } } })
      expect(Number(locked.headers['retry-after'])).toBeGreaterThan(0)
    }
    expect((await guess(body.email, password, '203.0.113.2')).status).toBe(200)
    await strict.close()
  })

  it('keeps the lock-out when Redis has lost its counts, without saying so', async () => {
    const strict = await createWorld({ config: { ...TEST_CONFIG, guessing: { perAccountAndIp: 100, perIp: 100, perAccount: 3, signUpsPerIp: 10 } } })
    const body = { email: 'ada@example.com', password, name: 'Ada', tenant_name: 'Engines' }
    await strict.call('POST', '/v1/auth/signup', { body })
    const guess = (typed: string) => strict.call('POST', '/v1/auth/login', { body: { email: body.email, password: typed } })
    for (let i = 0; i < 3; i++) await guess('wrong password')
    const names = await strict.redis.keys('*')
    const prefix = strict.redis.options.keyPrefix!
    const mine = names.filter((name) => name.startsWith(prefix))
    await strict.redis.del(mine.map((name) => name.slice(prefix.length)))
    expect(code(await guess(password))).toBe('invalid_login')
    await strict.close()
  })
})

describe('sessions', () => {
  const refresh = (token: unknown) => world.call('POST', '/v1/auth/refresh', { body: { refresh_token: String(token) } })
  const me = (token: unknown) => world.call('GET', '/v1/auth/me', { as: String(token) })

  it('rotates, and a token that comes back late ends the whole session', async () => {
    const { body } = await signUp()
    const first = body.session!
    const second = (await refresh(first.refresh_token)).body
    expect((await me(second.access_token)).status).toBe(200)
    await world.db.system('test', (tx) => tx.query("UPDATE refresh_tokens SET used_at = used_at - interval '1 minute' WHERE used_at IS NOT NULL"))
    expect(code(await refresh(first.refresh_token))).toBe('invalid_token')
    expect(code(await refresh(second.refresh_token))).toBe('invalid_token')
    expect(code(await me(second.access_token))).toBe('invalid_token')
  })

  it('lets two tabs refresh at the same moment', async () => {
    const { body } = await signUp()
    const both = await Promise.all([refresh(body.session!.refresh_token), refresh(body.session!.refresh_token)])
    expect(both.map((answer) => answer.status)).toEqual([200, 200])
  })

  it('ends a session at log-out at once, and all of them at log-out everywhere', async () => {
    const { email, body } = await signUp()
    const second = (await world.call('POST', '/v1/auth/login', { body: { email, password } })).body
    expect((await me(second.access_token)).status).toBe(200)
    await world.call('POST', '/v1/auth/logout', { body: { refresh_token: second.refresh_token } })
    expect(code(await me(second.access_token))).toBe('invalid_token')
    const first = body.session!
    expect((await me(first.access_token)).status).toBe(200)
    await world.call('POST', '/v1/auth/logout-all', { as: String(first.access_token) })
    expect(code(await me(first.access_token))).toBe('invalid_token')
  })

  it('refuses access tokens that are forged, cut, of another algorithm or too long', async () => {
    const { body } = await signUp()
    const token = String(body.session!.access_token)
    const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${token.split('.')[1]}.`
    for (const forged of [`${token.slice(0, -3)}abc`, token.split('.').slice(0, 2).join('.'), none, 'x', 'x'.repeat(5_000)]) expect(code(await me(forged))).toBe('invalid_token')
  })

  it('resets a forgotten password, ends the sessions, and says the same for an unknown address', async () => {
    const { email, body } = await signUp()
    const [known, unknown] = [await world.call('POST', '/v1/auth/forgot-password', { body: { email } }), await world.call('POST', '/v1/auth/forgot-password', { body: { email: 'nobody@example.com' } })]
    expect([known.status, known.text]).toEqual([unknown.status, unknown.text])
    const reset = await world.call('POST', '/v1/auth/reset-password', { body: { token: tokenOf(email), password: 'another good password' } })
    expect(reset.status).toBe(200)
    expect(code(await me(body.session!.access_token))).toBe('invalid_token')
    expect((await world.call('POST', '/v1/auth/login', { body: { email, password } })).status).toBe(401)
    expect((await world.call('POST', '/v1/auth/login', { body: { email, password: 'another good password' } })).status).toBe(200)
  })

  it('changes a password only with the old one, and keeps this session alone', async () => {
    const { email, body } = await signUp()
    const other = (await world.call('POST', '/v1/auth/login', { body: { email, password } })).body
    const as = String(body.session!.access_token)
    const change = (current: string) => world.call('POST', '/v1/auth/change-password', { as, body: { current_password: current, new_password: 'another good password' } })
    expect(code(await change('wrong password'))).toBe('invalid_login')
    expect((await change(password)).status).toBe(200)
    expect((await me(as)).status).toBe(200)
    expect(code(await me(other.access_token))).toBe('invalid_token')
  })
})
