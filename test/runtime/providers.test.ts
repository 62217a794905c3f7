import { describe, expect, it } from 'vitest'
import { chooseProvider, providerReports, testProvider } from '../../main/runtime/providers'
import { providers } from '../../preload/run'

describe('providers', () => {
  it('reports every provider, with a reason where it is not available', () => {
    const reports = providerReports()
    expect(reports.map(({ provider }) => provider)).toEqual([...providers])
    for (const { available, reason } of reports) expect(available || reason !== null).toBe(true)
    expect(reports.find(({ provider }) => provider === 'cpu')).toMatchObject({ available: true })
  })

  it('tests the CPU against itself', async () => {
    expect(await testProvider('cpu')).toEqual({
      provider: 'cpu',
      available: true,
      selfTestError: 0,
      reason: null,
    })
    expect(await chooseProvider('cpu')).toMatchObject({ provider: 'cpu', note: null })
  })

  it('falls back to the CPU and says why where a provider is not there', async () => {
    const missing = providerReports().find(({ available }) => !available)
    if (missing === undefined) throw new Error('this platform has every provider')
    const chosen = await chooseProvider(missing.provider)
    expect(chosen.provider).toBe('cpu')
    expect(chosen.note).toContain(missing.provider)
  })

  it('uses an accelerator only if its numbers are the CPU’s', async () => {
    const report = await testProvider('webgpu')
    const chosen = await chooseProvider('webgpu')
    if (report.reason === null) {
      expect(report.selfTestError).toBeLessThanOrEqual(1e-3)
      expect(chosen).toMatchObject({ provider: 'webgpu', note: null })
    } else {
      expect(chosen.provider).toBe('cpu')
      expect(chosen.note).toContain(report.reason)
    }
  })

  it('chooses something that works for auto', async () => {
    const { provider } = await chooseProvider('auto')
    expect((await testProvider(provider)).reason).toBeNull()
  })
})
