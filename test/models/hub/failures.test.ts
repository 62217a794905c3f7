import { describe, expect, it } from 'vitest'
import { TransientFailure, connectionFailure, statusFailure } from '../../../main/models/hub/failures'
import { failureOf } from '../scratch'
import { FakeHub } from './fake-hub'
import { modelId, useHub } from './use-hub'

const test = useHub()
const failed = (status: number, errorCode: string | null = null) =>
  statusFailure(status, { host: 'hub.example', what: 'x.json of a/b', errorCode, afterMs: null })

describe('a status', () => {
  it.each([
    [401, null, 'hub.refused', /does not know x\.json of a\/b, or keeps it private/],
    [403, null, 'hub.refused', /does not give x\.json of a\/b to everyone/],
    [401, 'GatedRepo', 'hub.refused', /does not give x\.json of a\/b to everyone/],
    [404, null, 'hub.missing', /has not x\.json of a\/b/],
    [410, null, 'hub.missing', /has not x\.json of a\/b/],
    [400, null, 'hub.untrusted', /answered with 400/],
    [304, null, 'hub.untrusted', /answered with 304/],
  ])('%i %s is final', (status, errorCode, code, message) => {
    const failure = failed(status, errorCode)
    expect(failure).not.toBeInstanceOf(TransientFailure)
    expect([failure.code, failure.next === undefined]).toEqual([code, false])
    expect(failure.message).toMatch(message)
  })

  it.each([408, 429, 500, 502, 503, 504])('%i may pass', (status) => {
    expect(failed(status)).toBeInstanceOf(TransientFailure)
  })
})

describe('a connection', () => {
  it('that nobody takes is tried again, then reported with the system’s code', async () => {
    const gone = new FakeHub()
    await gone.start()
    const env = { ...test.env, HF_ENDPOINT: gone.url }
    await gone.stop()
    const error = await failureOf(() => test.open({ env }).planDownload({ repoId: modelId }))
    expect(error.message).toMatch(/^The connection to 127\.0\.0\.1:\d+ failed \(ECONNREFUSED\)\.$/)
    expect(test.pauses).toHaveLength(5)
  })

  it('with a certificate that is not valid is not tried again, and the way out is named', () => {
    const cause = new TypeError('fetch failed', {
      cause: Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
    })
    const failure = connectionFailure('hub.example', cause)
    expect(failure).not.toBeInstanceOf(TransientFailure)
    expect(failure.next).toMatch(/NODE_EXTRA_CA_CERTS/)
  })
})
