/**
 * The GPU path against float64 PyTorch. Where there is no GPU it needs a software Vulkan driver: VK_ICD_FILENAMES must name
 * Electron's vk_swiftshader_icd.json and XDG_RUNTIME_DIR a folder.
 */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readCase } from '../../main/analysis/parity/case'
import { checkCase } from '../../main/analysis/parity/check'
import { allowed } from '../../main/analysis/parity/groups'
import { readSpec } from '../../main/models/architectures/registry'
import { testProvider } from '../../main/runtime/providers'
import { openReferenceModel } from '../support/reference-model'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
const { reason } = await testProvider('webgpu')
const skipped = reason === null ? '' : ` (skipped: ${reason})`

describe.skipIf(reason !== null)(`WebGPU${skipped}`, () => {
  const families = ['llama', 'gpt2', 'gemma3_text', 'bloom', 'qwen3_moe', 'gpt_oss']
  it.each(families)('gives the numbers and gradients of %s', async (name) => {
    const model = await openReferenceModel(path.join(folder, name), readSpec, 'webgpu')
    const reference = await readCase(path.join(folder, name))
    try {
      expect(model.stack.provider).toBe('webgpu')
      const results = await checkCase(model, reference)
      const wrong = results.filter(({ group, worst }) => !(worst <= allowed(group, 1e-3)))
      expect(wrong).toEqual([])
      expect(results.map(({ group }) => group)).toContain('gradients')
    } finally {
      await reference.close()
      await model.close()
    }
  })

  // Compiling takes a software driver long: of these only what a forward pass gives.
  const others = ['falcon_new_decoder', 'gptj', 'mpt', 'olmo2', 'phi3', 'stablelm']
  it.each(others)('gives the logits and activations of %s', async (name) => {
    const model = await openReferenceModel(path.join(folder, name), readSpec, 'webgpu')
    const reference = await readCase(path.join(folder, name))
    const names = reference.names.filter((tensor) => tensor === 'logits' || isResidual(tensor))
    try {
      const results = await checkCase(model, { ...reference, names, reference: { name } })
      expect(results.map(({ group }) => group)).toEqual(['logits', 'activations'])
      for (const { worst } of results) expect(worst).toBeLessThanOrEqual(1e-3)
    } finally {
      await reference.close()
      await model.close()
    }
  })
})

const isResidual = (name: string): boolean => /^blocks\.\d+\.hook_resid_(pre|post)$/.test(name)
