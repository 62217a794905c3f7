import { Linter } from 'eslint'
import { describe, expect, it } from 'vitest'
import layering, { forbidden } from '../../.config/layering.mjs'

describe('the layering rule', () => {
  it('lets imports point down, and to the contract', () => {
    expect(forbidden('main/engine/engine.ts', 'main/runtime/index.ts')).toBeNull()
    expect(forbidden('main/runtime/stack.ts', 'main/onnx/builder.ts')).toBeNull()
    expect(forbidden('main/onnx/builder.ts', 'preload/errors.ts')).toBeNull()
    expect(forbidden('renderer/client.ts', 'preload/api.ts')).toBeNull()
    expect(forbidden('main/cli/session.ts', 'main/engine/engine.ts')).toBeNull()
  })

  it('refuses imports that point up', () => {
    expect(forbidden('main/onnx/builder.ts', 'main/models/spec.ts')).toMatch(/point down/)
    expect(forbidden('main/runtime/stack.ts', 'main/analysis/lens.ts')).toMatch(/point down/)
    expect(forbidden('main/models/library.ts', 'main/engine/engine.ts')).toMatch(/point down/)
  })

  it('keeps the renderer, the contract, the shell and the launcher apart from the rest', () => {
    expect(forbidden('renderer/App.vue', 'main/analysis/lens.ts')).toMatch(/only preload/)
    expect(forbidden('preload/api.ts', 'main/models/spec.ts')).toMatch(/no other room/)
    expect(forbidden('main/analysis/lens.ts', 'renderer/client.ts')).toMatch(/renderer/)
    expect(forbidden('main/shell/index.ts', 'main/engine/engine.ts')).toMatch(/may not/)
    expect(forbidden('main/cli/index.ts', 'main/launch/start.mjs')).toMatch(/launch stands alone/)
  })

  it('is reported by ESLint at the import', () => {
    const messages = new Linter({ cwd: '/house' }).verify(
      "import { lens } from '../analysis/lens'\nexport { lens }\n",
      [{ files: ['**/*.ts'], plugins: { layering }, rules: { 'layering/rooms': 'error' } }],
      { filename: '/house/main/runtime/stack.ts' },
    )
    expect(messages.map((message) => [message.ruleId, message.line])).toEqual([['layering/rooms', 1]])
  })
})
