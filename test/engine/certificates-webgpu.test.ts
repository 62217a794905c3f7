/**
 * Self-checks on an accelerator compare it with the CPU. Where there is no GPU this needs a software Vulkan driver:
 * VK_ICD_FILENAMES must name Electron's vk_swiftshader_icd.json and XDG_RUNTIME_DIR a folder.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { testProvider } from '../../main/runtime/providers'

const { reason } = await testProvider('webgpu')
const skipped = reason === null ? '' : ` (skipped: ${reason})`

describe.skipIf(reason !== null)(`WebGPU${skipped}`, () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-certificates-'))
  const engine = new Engine({
    dataDir: path.join(folder, 'data'),
    cacheDir: path.join(folder, 'cache'),
    assetsDir: path.join(import.meta.dirname, '../../assets'),
  })
  afterAll(async () => {
    await engine.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('is compared with the CPU, and certified apart from it', async () => {
    const open = (provider: 'webgpu' | 'cpu') =>
      engine.call('model.open', { location: { kind: 'embedded' }, provider })
    const gpu = await open('webgpu')
    const made = await engine.call('certificate.make', { model: gpu.handle })
    const byGroup = new Map(made.groups.map((group) => [group.group, group]))
    expect([...byGroup.keys(), ...made.notes]).toEqual(['batched', 'cached', 'whole graph', 'provider'])
    expect(byGroup.get('provider')).toMatchObject({ tolerance: 1e-3, passed: true })
    expect(byGroup.get('provider')?.worst).toBeGreaterThan(0)
    expect(made).toMatchObject({ provider: 'webgpu', passed: true })

    const cpu = await open('cpu')
    expect(await engine.call('certificate.get', { model: cpu.handle })).toMatchObject({
      certificates: [{ provider: 'webgpu' }],
      summary: null,
    })
  })
})
