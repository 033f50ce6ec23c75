/** `THOROUGH=1 npm test` plays every fault on every carrier; without it each is played on one where the code is the same. */
export const isThorough = process.env['THOROUGH'] === '1'
