import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { PollyRefusal } from './errors.ts'

/** The one account of the sandbox: its signatures are really checked. Other access keys only need a header of the right shape. */
export const ACCESS_KEY_ID = 'AKIASANDBOX000000000'
export const SECRET_ACCESS_KEY = 'sandbox-secret-access-key'

const SHAPE = /^AWS4-HMAC-SHA256 Credential=([^/\s]+)\/(\d{8})\/([a-z0-9-]+)\/polly\/aws4_request,\s*SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})$/

/** Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html). */
export function signatureRefusal(request: FastifyRequest): PollyRefusal | null {
  const { authorization } = request.headers
  if (!authorization) return { status: 403, type: 'MissingAuthenticationTokenException', message: 'Missing Authentication Token' }
  const [, key, date, region, signedHeaders, signature] = SHAPE.exec(authorization) ?? []
  if (!key || !date || !region || !signedHeaders || !signature) return { status: 403, type: 'IncompleteSignatureException', message: 'Authorization header is not complete.' }
  if (/invalid/i.test(key)) return { status: 403, type: 'UnrecognizedClientException', message: 'The security token included in the request is invalid.' }
  if (key !== ACCESS_KEY_ID) return null
  const expected = sign(request, date, region, signedHeaders)
  return timingSafeEqual(Buffer.from(expected), Buffer.from(signature)) ? null : { status: 403, type: 'InvalidSignatureException', message: 'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.' }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

function sign(request: FastifyRequest, date: string, region: string, signedHeaders: string): string {
  const [path = '', query = ''] = request.url.split('?')
  const headers = signedHeaders.split(';').map((name) => `${name}:${String(request.headers[name] ?? '').trim().replaceAll(/\s+/g, ' ')}\n`)
  // The sandbox parsed the body already; a JSON body that was made by JSON.stringify is the same text again.
  const payload = request.body == null ? '' : JSON.stringify(request.body)
  const hashed = request.headers['x-amz-content-sha256']
  const canonical = [request.method, path, query.split('&').filter((part) => part !== '').sort().join('&'), headers.join(''), signedHeaders, typeof hashed === 'string' ? hashed : sha256(payload)].join('\n')
  const scope = `${date}/${region}/polly/aws4_request`
  const text = ['AWS4-HMAC-SHA256', String(request.headers['x-amz-date']), scope, sha256(canonical)].join('\n')
  const key = ['polly', 'aws4_request'].reduce<Buffer>((so, part) => hmac(so, part), hmac(hmac(`AWS4${SECRET_ACCESS_KEY}`, date), region))
  return hmac(key, text).toString('hex')
}
