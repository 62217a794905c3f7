/**
 * The GPU path against float64 PyTorch. Where there is no GPU it needs a software Vulkan driver: VK_ICD_FILENAMES must name
 * Electron's vk_swiftshader_icd.json and XDG_RUNTIME_DIR a folder.
 */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readCase } from '../../main/analysis/parity/case'
import { checkCase } from '../../main/analysis/parity/check'
import { readSpec } from '../../main/models/architectures/registry'
import { testProvider } from '../../main/runtime/providers'
import { openReferenceModel } from '../support/reference-model'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
const { reason } = await testProvider('webgpu')
const skipped = reason === null ? '' : ` (skipped: ${reason})`

describe.skipIf(reason !== null)(`WebGPU${skipped}`, () => {
  it.each(['llama', 'gpt2', 'gemma3_text', 'bloom'])('gives the numbers of %s', async (name) => {
    const model = await openReferenceModel(path.join(folder, name), readSpec, 'webgpu')
    const reference = await readCase(path.join(folder, name))
    try {
      expect(model.stack.provider).toBe('webgpu')
      const results = await checkCase(model, reference)
      const wrong = results.filter(({ group, worst }) => !(worst <= (group === 'generation' ? 0 : 1e-3)))
      expect(wrong).toEqual([])
    } finally {
      await reference.close()
      await model.close()
    }
  })
})
