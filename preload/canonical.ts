/**
 * Canonical JSON: the same value always gives the same text, so its hash can be a key and a copied request can be compared.
 * Keys sorted by code unit, no white space, numbers as ECMAScript prints them (RFC 8785, JSON Canonicalization Scheme).
 */
import { PatchbayError } from './errors'

/** @throws PatchbayError `input.invalid` for what JSON can not say (NaN, Infinity, functions, bigint, cycles by depth). */
export function canonicalJson(value: unknown, depth = 0): string {
  if (depth > 100)
    throw new PatchbayError('input.invalid', 'A value is nested too deeply to be written as JSON.')
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new PatchbayError('input.invalid', `JSON has no number ${value}.`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, depth + 1)).join(',')}]`
  if (typeof value === 'object') {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item, depth + 1)}`).join(',')}}`
  }
  throw new PatchbayError('input.invalid', `JSON has no ${typeof value}.`)
}
