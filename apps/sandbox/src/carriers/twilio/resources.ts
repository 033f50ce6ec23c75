import type { OwnedNumber } from './account.ts'
import type { TwilioLine } from './line.ts'

/** The JSON of Twilio's REST interface, all fields of the API reference. Times are RFC 2822. */

const rfc2822 = (date: Date | null): string | null => (date === null ? null : date.toUTCString().replace('GMT', '+0000'))

export function callJson(line: TwilioLine, status: string = line.status): Record<string, unknown> {
  const { call, facts, answeredBy } = line
  const uri = `/2010-04-01/Accounts/${facts.accountSid}/Calls/${call.id}`
  return {
    sid: call.id, account_sid: facts.accountSid, api_version: '2010-04-01', annotation: null, answered_by: answeredBy, caller_name: null,
    date_created: rfc2822(call.createdAt), date_updated: rfc2822(call.endedAt ?? call.answeredAt ?? call.createdAt), direction: facts.direction,
    duration: call.endedAt === null ? null : String(call.seconds), end_time: rfc2822(call.endedAt), forwarded_from: null, from: facts.from, from_formatted: facts.from, group_sid: null,
    parent_call_sid: facts.parentSid ?? null, phone_number_sid: null, price: null, price_unit: 'USD', queue_time: '0', start_time: rfc2822(call.answeredAt), status, to: facts.to, to_formatted: facts.to, trunk_sid: null,
    uri: `${uri}.json`,
    subresource_uris: { notifications: `${uri}/Notifications.json`, recordings: `${uri}/Recordings.json`, streams: `${uri}/Streams.json`, payments: `${uri}/Payments.json`, siprec: `${uri}/Siprec.json`, events: `${uri}/Events.json` },
  }
}

const CAPABILITIES = { voice: true, sms: true, mms: true, fax: false }

export function numberJson(owned: OwnedNumber): Record<string, unknown> {
  return {
    sid: owned.sid, account_sid: owned.accountSid, friendly_name: owned.number, phone_number: owned.number, api_version: '2010-04-01', beta: false, origin: 'twilio', status: 'in-use', type: 'local',
    voice_url: owned.voiceUrl, voice_method: 'POST', voice_fallback_url: owned.fallbackUrl, voice_fallback_method: 'POST', voice_caller_id_lookup: false, voice_application_sid: null, voice_receive_mode: 'voice',
    status_callback: owned.statusUrl, status_callback_method: 'POST', sms_url: '', sms_method: 'POST', sms_fallback_url: '', sms_fallback_method: 'POST', sms_application_sid: null,
    address_requirements: 'none', address_sid: null, identity_sid: null, bundle_sid: null, trunk_sid: null, emergency_status: 'Inactive', emergency_address_sid: null, emergency_address_status: 'unregistered',
    capabilities: CAPABILITIES, date_created: rfc2822(owned.createdAt), date_updated: rfc2822(owned.createdAt), uri: `/2010-04-01/Accounts/${owned.accountSid}/IncomingPhoneNumbers/${owned.sid}.json`,
  }
}

export function availableJson(number: string, country: string): Record<string, unknown> {
  return {
    friendly_name: number, phone_number: number, lata: '730', locality: 'Los Angeles', rate_center: 'LSAN DA 01', latitude: '34.052200', longitude: '-118.243700', region: 'CA', postal_code: '90012', iso_country: country,
    address_requirements: 'none', beta: false, capabilities: { voice: true, SMS: true, MMS: true, fax: false },
  }
}
