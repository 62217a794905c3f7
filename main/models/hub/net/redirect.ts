/** Where a redirect may lead. Followed by hand, since fetch would follow to anywhere. */
import { untrusted } from '../failures'
import { isLoopback } from '../settings'

/** Whether an address is the hub itself: scheme, host and port. Only there the token is sent. */
export const isEndpoint = (url: URL, endpoint: URL): boolean => url.origin === endpoint.origin

/**
 * The address a redirect leads to: https everywhere; http only on this machine, and only where the hub itself is on it.
 * @throws PatchbayError `file.malformed`
 */
export function redirectTarget(from: URL, location: string | null, endpoint: URL): URL {
  const target = location !== null && URL.canParse(location, from.href) ? new URL(location, from) : null
  if (target === null) throw untrusted(`${from.host} redirects to nowhere.`)
  const local = target.protocol === 'http:' && isLoopback(target)
  const localHub = endpoint.protocol === 'http:' && isLoopback(endpoint)
  if (target.protocol !== 'https:' && !(local && localHub))
    throw untrusted(`${from.host} redirects to an address that is not https, which Patchbay does not follow.`)
  if (target.username !== '' || target.password !== '')
    throw untrusted(`${from.host} redirects to an address with a password in it.`)
  return target
}
