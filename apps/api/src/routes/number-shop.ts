import { NumberSearch, type AvailableNumber } from '@trunkline/channels'
import { AppError, CarrierId, E164, Id, newId, VoiceSettings } from '@trunkline/core'
import { numbers, openJson, sealJson, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { asking } from '../voice/carrier-error.ts'
import { OpaqueJson } from '../wire.ts'
import { inProject, projectFor } from './caller.ts'
import { parseAt } from './credentials.ts'
import { numberKind } from './number-kinds.ts'
import { buy, type Purchase } from './number-purchase.ts'
import { createDesk, Name, NumberDetail, type Desk } from './numbers.ts'

type Json = Record<string, unknown>
/** An account at a carrier. `carrierSettings` are the carrier's own part of a number's settings. */
type Account = { carrier: CarrierId; credentials: Json; carrierSettings: Json }

const via = Id.meta({ description: 'A telephone number of yours, whose account at the carrier is used' })
const wanted = {
  country: NumberSearch.shape.country.meta({ description: 'ISO 3166-1', examples: ['NO'] }),
  area_code: NumberSearch.shape.areaCode,
  contains: NumberSearch.shape.contains.meta({ description: 'Digits; `*` for any one', examples: ['555*01'] }),
  type: NumberSearch.shape.type,
}
const SearchQuery = z.object({ via_number_id: via, carrier: CarrierId.optional().meta({ description: 'Refused when the number is at another one' }), ...wanted, limit: z.coerce.number().int().min(1).max(100).default(20) })
const account = { carrier: CarrierId, credentials: OpaqueJson.meta({ description: 'Of the account at the carrier' }), carrier_settings: OpaqueJson.default({}) }
const SearchBody = z
  .strictObject({ ...account, ...wanted, limit: NumberSearch.shape.limit })
  .meta({ examples: [{ carrier: 'twilio', credentials: { account_sid: 'AC00000000000000000000000000000000', auth_token: '…' }, country: 'US', area_code: '415', limit: 10 }] })
const Available = z
  .object({ data: z.array(z.object({ number: z.string(), region: z.string().nullable(), locality: z.string().nullable(), features: z.array(z.string()) })) })
  .meta({ id: 'AvailableNumbers', examples: [{ data: [{ number: '+14155550123', region: 'CA', locality: 'San Francisco', features: ['voice', 'sms'] }] }] })

const PurchaseBody = z
  .strictObject({
    project_id: Id.optional(),
    number: E164.meta({ examples: ['+14155550123'] }),
    name: Name,
    via_number_id: via.optional(),
    carrier: CarrierId.optional().meta({ description: 'With `credentials`' }),
    credentials: OpaqueJson.optional().meta({ description: 'Of the account at the carrier; or `via_number_id`' }),
    settings: OpaqueJson.default({}).meta({ description: 'As of a telephone number that is connected. `carrier_settings` are those of `via_number_id` unless they are given.' }),
  })
  .meta({ examples: [{ number: '+14155550123', name: 'San Francisco', via_number_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', settings: { greeting: 'Good morning, how can we help?' } }] })

const tags = ['phone numbers']
const SHOP_TIMEOUT_MS = 20_000

/** Numbers that carriers sell: searched, and bought ready to ring here. */
export function registerNumberShop(app: ApiApp, deps: ApiDeps): void {
  const desk = createDesk(deps)
  registerSearch(app, deps, desk)
  registerPurchase(app, deps, desk)
}

function registerSearch(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  const summary = 'Search numbers that a carrier sells'
  const response = { 200: Available }
  app.get('/v1/phone-numbers/available', { config: { access: { scope: 'numbers:read' } }, schema: { tags, summary, description: 'Through the account of a number that is connected already. For another account see POST: credentials are never in an address.', querystring: SearchQuery, response } }, async (request) => {
    const { via_number_id, carrier, country, area_code, contains, type, limit } = request.query
    const found = await accountVia(deps, desk, request, via_number_id, 'query.via_number_id')
    if (carrier !== undefined && carrier !== found.carrier) throw new AppError('invalid_request', { message: `query.carrier: That number is at ${found.carrier}.`, param: 'query.carrier' })
    return { data: await search(deps, found, { country, areaCode: area_code, contains, type, limit }, {}) }
  })

  app.post('/v1/phone-numbers/available', { config: { access: { scope: 'numbers:write' }, idempotent: false }, schema: { tags, summary: `${summary}, with credentials`, description: 'Nothing is stored.', body: SearchBody, response } }, async (request) => {
    const { carrier, credentials, carrier_settings, country, area_code, contains, type, limit } = request.body
    const given = accountOf(deps, { carrier, credentials, carrierSettings: carrier_settings }, 'body.carrier_settings')
    return { data: await search(deps, given, { country, areaCode: area_code, contains, type, limit }, fieldsOf('body.carrier_settings')) }
  })
}

const search = (deps: ApiDeps, { carrier, credentials, carrierSettings }: Account, wish: z.infer<typeof NumberSearch>, fields: Record<string, string>): Promise<AvailableNumber[]> =>
  asking(carrier, fields, {}, () => deps.carrierClients[carrier].searchNumbers({ credentials, settings: carrierSettings }, wish, AbortSignal.timeout(SHOP_TIMEOUT_MS)))

function registerPurchase(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  const description =
    'Costs money at the carrier, so an `Idempotency-Key` is required. The number is kept here before it is bought, stopped, and rings when both are done. When the carrier does not answer (504), or we fail after it did, it stays (`details.number_id`), and the same request looks at the carrier first: nothing is bought twice. A number that the account has already is connected.'
  app.post('/v1/phone-numbers/purchase', { config: { access: { scope: 'numbers:write' }, idempotent: true }, schema: { tags, summary: 'Buy a number', description, body: PurchaseBody, response: { 201: NumberDetail } } }, async (request, reply) => {
    if (request.keyed === null) throw new AppError('invalid_request', { message: 'Buying needs an Idempotency-Key.', param: 'headers.idempotency-key' })
    const purchase = await purchaseOf(deps, desk, request, request.body)
    const number = await buy(deps, request, purchase)
    await deps.ports.routing.invalidateNumber(number.id)
    return reply.code(201).send(await deps.db.tenant(request.auth.tenantId, (tx) => desk.detail(tx, request, number)))
  })
}

/** What is to be bought, kept as a stopped number: a new one, or that of an attempt before whose end is not known. */
async function purchaseOf(deps: ApiDeps, desk: Desk, request: FastifyRequest, body: z.infer<typeof PurchaseBody>): Promise<Purchase> {
  const { carrier, credentials, carrierSettings } = await buyerOf(deps, desk, request, body)
  const given = { carrier, carrier_settings: carrierSettings, ...body.settings }
  if (given.carrier !== carrier) throw new AppError('invalid_request', { message: `body.settings.carrier: The number is bought at ${carrier}.`, param: 'body.settings.carrier' })
  const settings = numberKind(deps, 'voice', given).settings(given)
  const { tenantId } = request.auth
  return deps.db.tenant(tenantId, async (tx) => {
    const known = await pendingOf(tx, request, body.number)
    if (known) return { ...(await openPurchase(tx, deps, known)), isAgain: true, fields: fieldsOf('body.settings.carrier_settings') }
    const projectId = await projectFor(tx, request.auth, body.project_id)
    const number = await numbers.insertPending(tx, { id: newId(), tenantId, projectId, channel: 'voice', address: body.number, name: body.name, settings, credentialsSealed: sealJson(deps.keyring, credentials, tenantId) })
    await audit(tx, request, { action: 'number.purchase_begun', target: { kind: 'number', id: number.id }, changes: { address: body.number, carrier } })
    return { number, carrier, config: { credentials, settings: settings['carrier_settings'] as Json }, isAgain: false, fields: fieldsOf('body.settings.carrier_settings') }
  })
}

/** A number of ours with this address: the purchase of before, or a conflict. */
async function pendingOf(tx: Tx, request: FastifyRequest, address: string): Promise<numbers.PhoneNumber | null> {
  const id = await numbers.findByAddress(tx, 'voice', address)
  if (id === null) return null
  const number = inProject(request.auth, await numbers.get(tx, id))
  if (!numbers.isPending(number)) throw new AppError('conflict', { message: 'This address is in use by another number of yours.', param: 'body.number', details: { number_id: id } })
  return number
}

async function openPurchase(tx: Tx, { keyring }: ApiDeps, number: numbers.PhoneNumber): Promise<Pick<Purchase, 'number' | 'carrier' | 'config'>> {
  const { carrier, carrier_settings: settings } = VoiceSettings.parse(number.settings)
  return { number, carrier, config: { credentials: openJson(keyring, await numbers.sealedCredentials(tx, number.id), number.tenantId) as Json, settings } }
}

async function buyerOf(deps: ApiDeps, desk: Desk, request: FastifyRequest, { via_number_id, carrier, credentials, settings }: z.infer<typeof PurchaseBody>): Promise<Account> {
  if ((via_number_id === undefined) === (credentials === undefined)) throw new AppError('invalid_request', { message: 'Give the credentials of an account, or via_number_id: one of the two.', param: 'body.credentials' })
  if (via_number_id !== undefined) {
    const found = await accountVia(deps, desk, request, via_number_id, 'body.via_number_id')
    if (carrier !== undefined && carrier !== found.carrier) throw new AppError('invalid_request', { message: `body.carrier: That number is at ${found.carrier}.`, param: 'body.carrier' })
    return found
  }
  if (carrier === undefined) throw new AppError('invalid_request', { message: 'body.carrier: Required with credentials.', param: 'body.carrier' })
  return accountOf(deps, { carrier, credentials: credentials!, carrierSettings: OpaqueJson.catch({}).parse(settings['carrier_settings']) }, 'body.settings.carrier_settings')
}

/** Checked by the carrier's own schemas. */
const accountOf = ({ carriers }: ApiDeps, { carrier, credentials, carrierSettings }: Account, settingsAt: string): Account =>
  ({ carrier, credentials: parseAt(carriers[carrier].credentials, credentials, 'body.credentials'), carrierSettings: parseAt(carriers[carrier].settings, carrierSettings, settingsAt) })

async function accountVia({ db }: ApiDeps, desk: Desk, request: FastifyRequest, id: Id, param: string): Promise<Account> {
  return db.tenant(request.auth.tenantId, async (tx) => {
    const number = await desk.get(tx, request, id).catch((cause: unknown) => {
      throw cause instanceof AppError && cause.code === 'not_found' ? new AppError('not_found', { message: 'There is no such number.', param, cause }) : cause
    })
    if (number.channel !== 'voice') throw new AppError('invalid_request', { message: `${param}: This is no telephone number.`, param })
    const { carrier, carrier_settings: carrierSettings } = VoiceSettings.parse(number.settings)
    return { carrier, credentials: await desk.opened(tx, number), carrierSettings }
  })
}

/** Where in a body the fields are that carriers name. */
const fieldsOf = (settingsAt: string): Record<string, string> => ({
  number: 'body.number', country: 'body.country', areaCode: 'body.area_code', contains: 'body.contains',
  'settings.connection_id': `${settingsAt}.connection_id`, 'credentials.auth_token': 'body.credentials', 'credentials.account_sid': 'body.credentials', 'credentials.api_key': 'body.credentials',
})
